"""Stage 4: a folder of labelled films in, a verified model package out."""
