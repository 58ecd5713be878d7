"""The course as static pages; `python -m tools.site` makes them."""
