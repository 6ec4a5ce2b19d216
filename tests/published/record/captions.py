"""Records what diffusers makes of odd captions: PixArt's cleaning, taken twice, and both of PRX.

    PYTHON -m tests.published.record.captions tests/published/data/captions.json

PYTHON has diffusers 0.42, ftfy 6.3 and beautifulsoup4 4.15. Captions are pieces drawn by a seed and
put side by side, those that are refused left out.
"""

import json
import random
import sys
import warnings
from pathlib import Path

from diffusers import PixArtAlphaPipeline
from diffusers.pipelines.prx.pipeline_prx import TextPreprocessor

COUNT = 400
PIECES = (
    *("a", "Dog", "photo of", "fox", "free", "download", "shipping", "worldwide ", "page 12"),
    *("click for", "here", "12x34", "3.5x2", "jc6640", "jc6640vc", "6640vc231", "j2d1a2a", "x"),
    *("http://foo.com/bar", "www.example.org", "www:foo", "https:", "foo@bar.com", "@nick"),
    *("#123", "#12345", "1234567", "img_01.png", "photo.jpg", "png images", "1.2.3.4", "3:45 "),
    *("\\n", "'", '"', "''", '""', "...", ".", " . ", ", : ", ":", ",", "-", "_", "--", ";"),
    *("this-is-my-cute-cat", "a_b_c_d_e", "z'", "'q'", '"q"', "(", ")", "[", "]", "/", "*", "~"),
    *("<person>", "<b>", "</b>", "<br>", "<br/>", "<script>", "</script>", "<style>", "<pre>"),
    *("<template>", "</template>", "</pre>", "<rt>", "</rt>", "<a href='x'>", "</p>", "<", "<3"),
    *("<!-- c -->", "<![cdata[x]]>", "<!doctype html>", "<?pi?>", "> ", "&", "&amp;", "&quot;"),
    *("&quot", "&eacute;", "&#233;", "&#x2019;", "&#150;", "&#0;", "&#xd800;", "&#9999999;"),
    *("&lt;", "&amp;lt;", "&nbsp;", "&foo;", "&NotEqual;", "%20", "+", "%3Cb%3E", "$5", "100%"),
    *("\r\n", "\r", "\t", "\n", "  ", "\x1b[31m", "\x00", "\x0c", "é", "café", "Ã©", "â€œ"),
    *("“", "”", "’", "‘", "—", "–", "日本", "猫", "привет", "х", "×", "½", "™", "®", "ﬁ", "ß"),
    *("ＬＯＵＤ", "😀", "\u2028", "\u200b", "\ufeff", "İ", "ñ", "´", "`", "«", "»", "¨", "\xa0"),
)


def caption(pick: random.Random) -> str:
    """Up to nine pieces, with spaces between them or not."""
    count = pick.randint(0, 9)
    return "".join(pick.choice(PIECES) + pick.choice(["", " ", " "]) for _ in range(count))


def main(path: Path) -> None:
    """Writes each caption with what PixArt, PRX, and PRX without cleaning make of it."""
    pixart, prx = object.__new__(PixArtAlphaPipeline), TextPreprocessor()
    found = []
    for seed in range(COUNT):
        given = caption(random.Random(seed))
        (twice,) = pixart._text_preprocessing(given, clean_caption=True)
        found.append([given, twice, prx.clean_text(given), prx.basic_clean(given)])
    lines = ",\n".join(json.dumps(each) for each in found)
    path.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
