//! `docker-engine`: the Docker Engine API, over HTTP/1.1 on a socket.
mod dialect;
mod releases;
mod version;
