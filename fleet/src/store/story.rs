//! The story that every backend must tell the same way.
