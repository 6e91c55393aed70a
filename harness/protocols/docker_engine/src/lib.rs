//! `docker-engine`: the Docker Engine API, over HTTP/1.1 on a socket.
mod dialect;
mod reference;
mod releases;
mod version;
