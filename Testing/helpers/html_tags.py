"""What a browser would take for elements and attributes of a page."""

from html.parser import HTMLParser


class Tags(HTMLParser):
    """Collects the names of a page's elements and attributes."""

    def __init__(self, page: str):
        super().__init__()
        self.names, self.attributes = set(), set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def runs_something(self) -> bool:
        """Whether the page holds a script or an attribute that starts one."""
        return "script" in self.names or any(name.startswith("on") for name in self.attributes)
