"""Front-end ``sadaco``: the mel pictures with which a third party trains CNN-MoE."""
