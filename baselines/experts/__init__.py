"""C-DNN and CNN-MoE of Pham et al.: six convolution blocks, with a plain head or a mixture of experts."""
