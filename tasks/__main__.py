"""Entry point of the sweep process: `python -m tasks`."""

import os

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    django.setup()

    from tasks.sweep import loop

    loop()
