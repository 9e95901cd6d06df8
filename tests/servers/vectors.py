"""Markup that runs something where nobody cleans it, for every door by which markup comes in."""

from __future__ import annotations

__all__ = ["XSS"]

XSS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<form action=javascript:alert(1)><input type=submit></form>",
    "<p style='background-image:url(javascript:alert(1));position:fixed'>x</p>",
    "<p style='color:expression(alert(1))'>x</p>",
    "<style>@import 'https://x.es/a.css';</style>",
    "<link rel=stylesheet href=https://x.es/a.css>",
    "<meta http-equiv=refresh content='0;url=https://x.es'>",
    "<base href=https://x.es>",
    "<object data=x></object><embed src=x>",
    "<p onclick=alert(1) class='fixed top'>x</p>",
    "<a href='&#106;avascript:alert(1)'>x</a>",
    "<a href='javascript&colon;alert(1)'>x</a>",
    "<a href='x' onmouseover=alert(1)>x</a>",
    "<title></title><script>alert(1)</script>",
    "<textarea><script>alert(1)</script></textarea>",
    "<template><script>alert(1)</script></template>",
    "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>",
    "<<script>script>alert(1)<</script>/script>",
    "<img src='data:image/svg+xml,<svg onload=alert(1)>'>",
    "<video><source onerror=alert(1)></video>",
    "<details open ontoggle=alert(1)>",
    "<xmp><img src=x onerror=alert(1)></xmp>",
    "<p id=x name=y></p><a name='</a><script>'>x</a>",
    "<!--<img src='--><img src=x onerror=alert(1)//'>",
    "<a href=\"x\" title=\"&quot; onclick=&quot;alert(1)\">x</a>",
    "<p>\ufdd00\ufdd1 \ufde1script\ufde2alert(1)\ufde1/script\ufde2</p>",
]  # fmt: skip
