"""Everything that speaks S3. Knows no Django."""
