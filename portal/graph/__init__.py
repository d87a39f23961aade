"""The Microsoft gateway: no Flask, no database, nothing of ours above it. Errors are the Source errors of portal.errors."""
