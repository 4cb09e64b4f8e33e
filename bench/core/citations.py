"""Publications that cards of several packages cite, and the names of their code."""

from __future__ import annotations

MA_2019 = """@inproceedings{ma2019lungbrn,
  title={{LungBRN}: A Smart Digital Stethoscope for Detecting Respiratory Disease Using bi-{ResNet} Deep Learning
    Algorithm},
  author={Ma, Yi and Xu, Xinzi and Yu, Qing and Zhang, Yuhang and Li, Yongfu and Zhao, Jian and Wang, Guoxing},
  booktitle={IEEE Biomedical Circuits and Systems Conference (BioCAS)},
  year={2019}
}"""

MA_2020 = """@inproceedings{ma2020lungrn,
  title={{LungRN+NL}: An Improved Adventitious Lung Sound Classification Using Non-Local Block {ResNet} Neural Network
    with Mixup Data Augmentation},
  author={Ma, Yi and Xu, Xinzi and Li, Yongfu},
  booktitle={Proc. INTERSPEECH},
  year={2020}
}"""

LUNGSYS_CODE = "SJTU-YONGFU-RESEARCH-GRP/Lung-Sound-Classification-System-LungSys-I"
