"""What this project knows about its data, its features and its model."""
