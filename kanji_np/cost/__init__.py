"""What a network costs on a device, known before it is trained."""
