"""Instance segmentation: detector, training and prediction."""
