from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Order",
            fields=[
                ("number", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("owner", models.CharField(max_length=32)),
                ("form_key", models.CharField(max_length=32)),
                ("certify_url", models.TextField(blank=True, default="")),
                ("may_be_sent", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={"unique_together": {("owner", "form_key")}},
        ),
    ]
