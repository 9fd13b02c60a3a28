"""What `symml derive` prints: one product a file, all of them listed in products.py."""
