//! What the end-to-end tests need: real servers, fixtures and observers.

pub mod chrony_server;
pub mod dns_server;
pub mod flow_fixture;
pub mod http2_fixture;
pub mod http_fixture;
pub mod kubernetes_api;
pub mod mail_servers;
pub mod mariadb_server;
pub mod nats_server;
pub mod nginx_server;
pub mod observer;
pub mod openssl_server;
mod packed;
pub mod postgres_server;
pub mod process;
pub mod proxy_fixture;
pub mod python_server;
pub mod redis_server;
pub mod server_process;
pub mod sshd;
pub mod tcp_fixture;
pub mod tls_fixture;
pub mod udp_fixture;
pub mod unbound_server;
