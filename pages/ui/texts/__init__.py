"""Spanish texts that only pages show, one module a page; ``common`` holds what several pages share."""
