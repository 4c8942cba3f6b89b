"""The encoders beside torch and onnxruntime on the same weights; replicas of one model on one host."""
