"""Claims on single images: SimCLR, autoencoders, patch localisation, context encoders."""
