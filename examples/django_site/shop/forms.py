import re
import secrets

from django import forms
from django.core.validators import RegexValidator


class NeverEchoed(forms.TextInput):
    """Does not write into the page what was entered."""

    def format_value(self, value):
        return None


class PersonForm(forms.Form):
    """Name and number of the document. Only for facecert: neither is stored."""

    use_required_attribute = False

    name = forms.CharField(
        label="姓名",
        min_length=2,
        max_length=50,
        validators=[RegexValidator(r"^[^\W\d_]([^\W\d_]|[·•. '’-])+$", "姓名里有不能用的字符")],
        error_messages={
            "required": "请填写证件上的姓名",
            "min_length": "姓名至少两个字",
            "max_length": "姓名太长了",
        },
        widget=forms.TextInput(attrs={"autocomplete": "name", "placeholder": "与证件上一致"}),
    )
    number = forms.CharField(
        label="证件号码",
        max_length=40,
        error_messages={"required": "请填写证件号码", "max_length": "证件号码太长了"},
        widget=NeverEchoed(
            attrs={
                "autocomplete": "off",
                "autocapitalize": "characters",
                "spellcheck": "false",
                "placeholder": "身份证或居住证号码",
            }
        ),
    )
    key = forms.CharField(
        validators=[RegexValidator(r"^[0-9a-f]{32}\Z")], widget=forms.HiddenInput
    )

    @classmethod
    def fresh(cls):
        return cls(initial={"key": secrets.token_hex(16)})

    def clean_number(self):
        number = self.cleaned_data["number"].replace(" ", "").upper()
        # Not only 18 digits: residence permits have letters.
        if not re.match(r"[A-Z0-9()]+\Z", number):
            raise forms.ValidationError("证件号码只有数字和字母")
        if not 6 <= len(number) <= 30:
            raise forms.ValidationError("证件号码的位数不对，请再核对一遍")
        return number
