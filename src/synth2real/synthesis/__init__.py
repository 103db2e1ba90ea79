"""Label maps to photos: conditional generators and discriminators, their training, and frame sets that they paint."""
