"""Following people inside one camera, and picking the crops that are worth sending."""
