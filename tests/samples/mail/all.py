"""Every sample."""

from tests.samples.mail.charsets import CHARSETS
from tests.samples.mail.headers import ADDRESSES, SUBJECTS
from tests.samples.mail.structure import STRUCTURE

SAMPLES = (*CHARSETS, *SUBJECTS, *ADDRESSES, *STRUCTURE)
