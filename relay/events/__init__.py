"""What vendors tell later about mail they took: their web hooks and bounces, translated into one vocabulary."""
