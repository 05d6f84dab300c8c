//! `docker build`: Dockerfiles read, and carried out step by step in containers.
