"""Publications that cards of several packages cite, and the names of their code."""

from __future__ import annotations

MA_2019 = """@inproceedings{ma2019lungbrn,
  title     = {{LungBRN}: A Smart Digital Stethoscope for Detecting Respiratory Disease Using bi-{ResNet} Deep Learning
               Algorithm},
  author    = {Yi Ma and Xinzi Xu and Qing Yu and Yuhang Zhang and Yongfu Li and Jian Zhao and Guoxing Wang},
  booktitle = {IEEE Biomedical Circuits and Systems Conference (BioCAS)},
  year      = {2019},
}"""

MA_2020 = """@inproceedings{ma2020lungrn,
  title     = {{LungRN+NL}: An Improved Adventitious Lung Sound Classification Using Non-Local Block {ResNet} Neural
               Network with Mixup Data Augmentation},
  author    = {Yi Ma and Xinzi Xu and Yongfu Li},
  booktitle = {Proc. INTERSPEECH 2020},
  year      = {2020},
}"""

LUNGSYS_CODE = "SJTU-YONGFU-RESEARCH-GRP/Lung-Sound-Classification-System-LungSys-I"

LI_2021 = """@article{li2021lungattn,
  title   = {{LungAttn}: Advanced Lung Sound Classification Using Attention Mechanism with Dual {TQWT} and Triple {STFT}
             Spectrogram},
  author  = {Jizuo Li and Jiajun Yuan and Hansong Wang and Shijian Liu and Qianyu Guo and Yi Ma and Yongfu Li and
             Liebin Zhao and Guoxing Wang},
  journal = {Physiological Measurement},
  volume  = {42},
  number  = {10},
  year    = {2021},
}"""

LUNGATTN_CODE = "SJTU-YONGFU-RESEARCH-GRP/LungAttn @ 8a7972b"

GAIROLA_2021 = """@inproceedings{gairola2021respirenet,
  title     = {RespireNet: A Deep Neural Network for Accurately Detecting Abnormal Lung Sounds in Limited Data Setting},
  author    = {Gairola, Siddhartha and Tom, Francis and Kwatra, Nipun and Jain, Mohit},
  booktitle = {Annual International Conference of the IEEE Engineering in Medicine and Biology Society (EMBC)},
  pages     = {527--530},
  year      = {2021},
}"""

RESPIRENET_CODE = "microsoft/RespireNet @ 5e3f41a"
