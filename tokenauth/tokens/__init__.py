"""What a token is: header grammar, claims, signing, keys, scopes."""
