"""Arithmetic on the SM2 curve (GB/T 32918.1): addition, and fast multiples of a fixed point."""

from functools import lru_cache
from typing import Dict, List, NamedTuple, Tuple

#: Teeth of a comb (see ``Curve.comb``). One more is a little faster, and doubles the table.
TEETH = 8
SPACING = 256 // TEETH

#: A point in affine coordinates. The point at infinity has none.
Point = NamedTuple("Point", [("x", int), ("y", int)])
#: (X, Y, Z) is the affine point (X/Z^2, Y/Z^3), or infinity when Z is 0.
Jacobian = Tuple[int, int, int]
INFINITY = (1, 1, 0)


class Curve:
    """The curve y^2 = x^3 + ax + b modulo p with a = p - 3. Its n points are the multiples of g.

    Args:
        table: the parameters in hexadecimal; ``g`` is x and y, 64 digits each.
    """

    def __init__(self, table: Dict[str, str]) -> None:
        self.p, self.a, self.b, self.n = (int(table[name], 16) for name in "pabn")
        self.g = Point(int(table["g"][:64], 16), int(table["g"][64:], 16))

    def contains(self, x: int, y: int) -> bool:
        """Tell whether x and y are reduced modulo p and are a point of the curve."""
        reduced = 0 <= x < self.p and 0 <= y < self.p
        return reduced and (y * y - (x * x + self.a) * x - self.b) % self.p == 0

    def double(self, point: Jacobian) -> Jacobian:
        """Return point + point."""
        p = self.p
        x, y, z = point
        zz, yy = z * z % p, y * y % p
        s = 4 * x * yy % p
        m = 3 * (x - zz) * (x + zz) % p
        x3 = (m * m - 2 * s) % p
        return x3, (m * (s - x3) - 8 * yy * yy) % p, 2 * y * z % p

    def add(self, point: Jacobian, other: Point) -> Jacobian:
        """Return point + other. The two may be equal or opposite; ``point`` may be infinity."""
        p = self.p
        (x1, y1, z1), (x2, y2) = point, other
        if z1 == 0:
            return x2, y2, 1
        zz = z1 * z1 % p
        h = (x2 * zz - x1) % p
        r = (y2 * zz * z1 - y1) % p
        if h == 0:
            return self.double(point) if r == 0 else INFINITY
        hh = h * h % p
        hhh = h * hh % p
        v = x1 * hh % p
        x3 = (r * r - hhh - 2 * v) % p
        return x3, (r * (v - x3) - y1 * hhh) % p, z1 * h % p

    def affine(self, points: List[Jacobian]) -> List[Point]:
        """Convert all points with one modular inversion. Infinity raises ValueError."""
        p = self.p
        products = [1]
        for _, _, z in points:
            products.append(products[-1] * z % p)
        inverse = pow(products.pop(), p - 2, p)
        if inverse == 0:
            raise ValueError("infinity has no affine coordinates")
        result = []
        for x, y, z in reversed(points):
            z_inverse = products.pop() * inverse % p
            inverse = inverse * z % p
            zz = z_inverse * z_inverse % p
            result.append(Point(x * zz % p, y * zz * z_inverse % p))
        return result[::-1]

    @lru_cache(maxsize=4)
    def comb(self, point: Point) -> List[Point]:
        """Return Lim and Lee's comb of the point: the table that makes ``multiply`` fast.

        Tooth i is 2^(SPACING * i) times the point. Entry t is the sum of the teeth whose bit is
        set in t. Entry 0 would be infinity; ``multiply`` never reads it.
        """
        teeth = [(point.x, point.y, 1)]
        while len(teeth) < TEETH:
            tooth = teeth[-1]
            for _ in range(SPACING):
                tooth = self.double(tooth)
            teeth.append(tooth)
        sums = [INFINITY]
        for last in self.affine(teeth):
            sums += [self.add(entry, last) for entry in sums]
        return [point] + self.affine(sums[1:])

    def multiply(self, k: int, point: Point) -> Jacobian:
        """Return k (0 to 2^256 - 1) times the point, not in constant time."""
        comb, bits, result = self.comb(point), format(k, "0256b"), INFINITY
        for column in range(SPACING):
            result = self.double(result)
            teeth = int(bits[column::SPACING], 2)
            if teeth:
                result = self.add(result, comb[teeth])
        return result
