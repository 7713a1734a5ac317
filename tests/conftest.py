"""Settings that all tests share."""

from hypothesis import settings

# no deadline: a busy machine must not fail a test
settings.register_profile("streamreid", deadline=None)
settings.load_profile("streamreid")
