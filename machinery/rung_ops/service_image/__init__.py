"""The image of the service: built once, listed, checked, pushed, and promoted by its digest."""
