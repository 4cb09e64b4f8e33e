"""Pinned facts of the official ICBHI 2017 set: counts and a hash, by which a copy on disk is judged.

Counts are of the 920 annotation files and the official split; they equal the challenge's and the paper's (Table 1 of
Rocha et al. 2019: 6,898 cycles; Patch-Mix CL section 3.1: 4,142 train and 2,756 test cycles). Class order everywhere:
normal, crackle, wheeze, both.
"""

from __future__ import annotations

from typing import NamedTuple

CLASSES = ("normal", "crackle", "wheeze", "both")
"""Names of the labels 0 to 3."""

SPLITS = ("train", "test")

RECORDINGS = 920
"""Recordings of the official set."""

RATES = (4000, 10000, 44100)
"""Samples per second that occur in the official set (90, 6 and 824 recordings)."""

SPLIT_SHA256 = "5f76949642262cd30ddd30485f8a6a0f8c1c518939296fbfefefd115be0ed689"
"""SHA-256 over the sorted lines ``<patient>_<index>_<location>_<mode> <train|test>``, each ended by a line feed.

The device is left out, because copies of the split file differ in it (see ``ALIASES``); line ends and order do not
count either.
"""

ALIASES = {"226_1b1_Pl_sc_Meditron": "226_1b1_Pl_sc_LittC2SE"}
"""Names in copies of the split file, and the names of the same recordings in the archive."""


class Count(NamedTuple):
    """A number of recordings, and the numbers of their cycles per class."""

    recordings: int
    normal: int
    crackle: int
    wheeze: int
    both: int

    @property
    def cycles(self) -> int:
        """Cycles of all classes."""
        return sum(self[1:])


BY_DEVICE = {
    ("train", "AKGC417L"): Count(361, 982, 996, 255, 277),
    ("train", "Litt3200"): Count(5, 11, 3, 19, 8),
    ("train", "LittC2SE"): Count(87, 347, 77, 126, 44),
    ("train", "Meditron"): Count(86, 723, 139, 101, 34),
    ("test", "AKGC417L"): Count(285, 940, 547, 245, 104),
    ("test", "Litt3200"): Count(55, 325, 26, 93, 17),
    ("test", "Meditron"): Count(41, 314, 76, 47, 22),
}
"""Per split and device; no LittC2SE recording is in the test split."""

BY_SPLIT = {"train": Count(539, 2063, 1215, 501, 363), "test": Count(381, 1579, 649, 385, 143)}

BY_LOCATION = {
    "Al": 162,
    "Ar": 168,
    "Ll": 77,
    "Lr": 112,
    "Pl": 139,
    "Pr": 132,
    "Tc": 130,
}
"""Recordings per chest location."""

BY_MODE = {"mc": 732, "sc": 188}
"""Recordings per acquisition mode (multi-channel, single-channel)."""

_PATIENTS = """
101 test 2 23 0 0 0
102 test 1 13 0 0 0
103 train 1 2 0 4 0
104 test 6 44 1 10 0
105 train 1 8 0 0 0
106 train 2 3 8 7 0
107 train 28 57 128 14 32
108 train 1 8 0 0 0
109 test 6 46 15 0 0
110 train 5 34 12 3 3
111 train 2 17 0 0 0
112 train 5 24 5 22 6
113 test 6 50 0 0 0
114 train 5 1 9 3 22
115 train 1 23 0 1 0
116 train 2 6 0 2 0
117 train 2 7 0 5 0
118 test 6 15 0 25 0
119 test 1 9 0 0 0
120 train 5 108 15 0 0
121 train 2 14 0 0 0
122 train 9 37 0 15 0
123 test 1 8 0 0 0
124 test 6 33 0 13 2
125 train 1 4 2 0 0
126 test 1 11 0 0 0
127 train 1 7 3 0 0
128 train 1 2 3 0 0
129 train 1 4 5 0 0
130 train 66 80 310 60 57
131 train 1 9 0 2 0
132 train 2 2 17 0 0
133 test 19 89 32 32 3
134 train 5 29 0 1 0
135 train 13 107 5 0 0
136 test 1 9 0 0 0
137 train 2 17 0 0 0
138 train 27 36 100 4 9
139 test 6 35 3 7 1
140 train 4 29 2 9 0
141 train 8 14 0 18 11
142 train 1 0 9 0 0
143 test 1 18 0 0 0
144 test 2 20 0 0 0
145 test 7 28 9 0 0
146 test 11 63 6 8 3
147 test 16 70 2 31 0
148 train 1 11 0 0 0
149 test 3 27 4 18 2
150 test 1 7 9 1 0
151 test 28 76 28 38 26
152 train 1 7 0 0 0
153 train 1 9 0 0 0
154 train 23 96 111 0 1
155 train 1 6 0 0 0
156 test 8 8 14 6 33
156 train 9 2 14 9 44
157 train 5 41 23 0 0
158 train 24 48 46 57 66
159 train 4 41 0 1 0
160 test 23 20 26 36 19
161 train 2 6 2 9 2
162 train 24 81 6 1 1
163 train 13 64 7 0 0
164 train 1 6 1 3 0
165 test 3 19 3 1 0
166 train 5 84 28 3 0
167 train 2 20 0 8 0
168 train 1 7 0 0 0
169 test 2 3 11 0 0
170 test 25 120 24 2 4
171 test 1 9 0 0 0
172 train 27 94 42 30 10
173 test 1 8 5 0 0
174 test 23 16 87 5 2
175 test 6 4 0 14 5
176 test 21 11 122 0 0
177 test 17 31 40 6 2
178 test 24 120 45 35 8
179 train 2 9 4 1 1
180 train 5 0 4 1 25
181 train 4 15 2 0 0
182 test 1 2 5 0 0
183 train 2 6 2 0 0
184 train 1 8 0 0 0
185 test 6 54 0 1 0
186 train 24 50 74 2 0
187 test 1 17 0 0 0
188 train 4 62 0 0 0
189 train 1 3 2 0 0
190 train 1 4 0 0 0
191 train 3 24 0 0 0
192 train 6 4 1 38 3
193 train 14 45 28 65 0
194 test 2 18 0 0 0
195 test 6 42 5 23 5
196 train 1 6 0 0 0
197 train 2 6 1 1 0
198 test 14 29 28 41 0
199 train 2 6 12 0 0
200 train 23 87 11 0 0
201 train 6 5 1 25 10
202 test 1 10 0 0 0
203 train 21 78 94 3 10
204 train 9 57 0 6 0
205 test 20 45 57 0 0
206 train 3 5 0 21 1
207 test 21 116 22 1 0
208 train 1 13 0 0 0
209 train 1 4 0 0 0
210 train 2 29 2 0 0
211 test 8 98 5 4 4
212 train 1 5 2 0 0
213 train 20 111 18 0 0
214 test 1 7 0 0 0
215 train 2 7 0 4 0
216 test 2 10 4 8 0
217 train 1 11 0 0 0
218 test 4 11 18 6 24
218 train 4 8 15 6 19
219 train 5 25 1 0 0
220 train 2 12 2 0 0
221 train 12 4 0 29 30
222 train 3 24 13 8 0
223 test 6 29 19 13 0
224 test 2 14 0 0 0
225 test 1 14 0 0 0
226 train 3 18 13 0 0
"""


def _by_patient() -> dict[tuple[str, str], Count]:
    rows = (line.split() for line in _PATIENTS.split("\n") if line)
    return {(split, patient): Count(*map(int, numbers)) for patient, split, *numbers in rows}


BY_PATIENT = _by_patient()
"""Per split and patient; 156 and 218 are in both splits, so that 126 patients make 128 rows."""

TEST_PATIENT_SHA256 = dict(
    pair.split()
    for pair in """
101 fc174c95, 102 7ea52fc3, 104 75718283, 109 62b326a3, 113 f4ae3f17, 118 c1fe2d42,
119 4b31adf1, 123 214d46e8, 124 58133317, 126 7ece30f7, 133 ce3d0d08, 136 7a7b5698,
139 e4da1f7c, 143 26c04826, 144 7c8abdb3, 145 9be9fae4, 146 6288c0ce, 147 378d1504,
149 068b49cd, 150 6acda0d3, 151 0bc379d7, 156 bcc106a3, 160 e6a3303c, 165 8a0204c5,
169 6fc42e35, 170 3bc3dca5, 171 b28506b3, 173 b7276fea, 174 f75c154a, 175 e99c22ba,
176 db1a0f3f, 177 684a4247, 178 c4ead277, 182 5595c4b1, 185 74374141, 187 78ea652e,
194 baadd903, 195 35210ec2, 198 68d0aa1a, 202 fbb80d7a, 205 44c611a0, 207 a4657ed9,
211 1422e31f, 214 5e94481d, 216 5dfff74f, 218 2f9889e2, 223 61c26c85, 224 fd614def,
225 8faa5971
""".split(",")
)
"""By patient of the test part, the beginning of a hash over their cycles and labels (``official.patient_hashes``)."""
