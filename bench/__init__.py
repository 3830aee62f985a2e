"""What the product can do, measured against what else a user would pick; see SUMMARY.md."""
