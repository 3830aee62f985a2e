"""What is counted, and how: pure, without Faust or I/O."""
