"""The admin, for operators: they can see all data but not change results."""

from django.contrib import admin

from classifier.admin import analyses, batches, clips, inspections, users

__all__ = ["analyses", "batches", "clips", "inspections", "users"]

admin.site.site_header = admin.site.site_title = "Sonoscope"
admin.site.index_title = "Administration"
# With only six tables the sidebar is not needed; wide lists use the space.
admin.site.enable_nav_sidebar = False
admin.site.index_template = "classifier/admin_index.html"
