"""Texts in one normal form: Unicode's, without what nobody sees.

`é` may be one character or two, a word may hold a soft hyphen or a mark of
direction: to a vocabulary each spelling is another word.
"""

import unicodedata
from typing import Literal

Form = Literal["none", "nfc", "nfkc"]

# Characters without a shape of their own. The joiners U+200C and U+200D are
# kept: Persian and the scripts of India are spelt with them.
INVISIBLE = (
  "\u00ad"  # soft hyphen
  "\u200b\u2060\ufeff"  # blanks of no width, or forbidden breaks
  "\u061c\u200e\u200f"  # marks of direction
  "\u202a\u202b\u202c\u202d\u202e"  # embedded directions
  "\u2066\u2067\u2068\u2069"  # isolated directions
  "\u2061\u2062\u2063\u2064"  # operators of mathematics
  "\u180e"  # a vowel separator of Mongolian
)
_DROP = dict.fromkeys(map(ord, INVISIBLE))


def normal(text: str, form: Form, drop_invisible: bool) -> str:
  """A text in Unicode's normal form NFC or NFKC, or as it is.

  Args:
    text: any text.
    form: NFC writes `é` as one character; NFKC also writes what is but another
      shape, such as `ﬁ` or a wide letter, as the usual one.
    drop_invisible: leave out the characters of `INVISIBLE`.
  """
  if drop_invisible:
    text = text.translate(_DROP)
  if form == "none":
    return text
  return unicodedata.normalize("NFC" if form == "nfc" else "NFKC", text)
