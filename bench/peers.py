"""The proxies that people have, set up to do what Keyward does at each door: configurations, and nothing of measuring.

All of them know the same keys (in `Authorization: Bearer`) and stand before the same upstream. Envoy and Caddy are given as
programs; where one is missing its rows are left out, and loopback.py says so.
"""

import json

ENVOY = "type.googleapis.com/envoy.extensions."


def envoy_api_keys(folder, port, upstream, keys):
    """Envoy with its own check of API keys (api_key_auth) and a route to the upstream; the configuration's path."""
    # Of this header Envoy takes what stands after "Bearer".
    sources = [{"header": "authorization"}]
    credentials = [{"key": key, "client": f"c{number}"} for number, key in enumerate(keys)]
    here = {"envoy.filters.http.api_key_auth": {
        "@type": ENVOY + "filters.http.api_key_auth.v3.ApiKeyAuthPerRoute", "credentials": credentials, "key_sources": sources,
        "forwarding": {"hide_credentials": True},
    }}
    check = {"name": "envoy.filters.http.api_key_auth", "typed_config": {
        "@type": ENVOY + "filters.http.api_key_auth.v3.ApiKeyAuth", "key_sources": sources,
    }}
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": ENVOY + "filters.http.router.v3.Router"}}
    routes = {"name": "r", "virtual_hosts": [{
        "name": "v", "domains": ["*"], "typed_per_filter_config": here, "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "api"}}],
    }]}
    manager = {"name": "hcm", "typed_config": {
        "@type": ENVOY + "filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "bench",
        "http_filters": [check, router], "route_config": routes,
    }}
    at = lambda number: {"socket_address": {"address": "127.0.0.1", "port_value": number}}
    cluster = {"name": "api", "type": "STATIC", "load_assignment": {
        "cluster_name": "api", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": at(upstream)}}]}],
    }}
    listener = {"name": "l", "address": at(port), "filter_chains": [{"filters": [manager]}]}
    path = folder / "envoy.json"
    path.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    return path


def caddy_map(folder, port, upstream, keys):
    """Caddy with the keys in a map and a reverse proxy; the configuration's path."""
    entries = "".join(f'  "Bearer {key}" 1\n' for key in keys)
    path = folder / "Caddyfile"
    path.write_text(
        "{\n admin off\n auto_https off\n}\n"
        f"http://:{port} {{\n bind 127.0.0.1\n map {{header.Authorization}} {{known}} {{\n{entries}  default 0\n }}\n"
        f' @unknown expression {{known}} != "1"\n respond @unknown 401\n'
        f" reverse_proxy 127.0.0.1:{upstream} {{\n  header_up -Authorization\n }}\n}}\n"
    )
    return path


def nginx_asks(port, upstream, asked, subrequest):
    """nginx's directives for a server that asks `asked` (host and port) by auth_request before it passes on."""
    return (
        f"upstream api{port} {{ server 127.0.0.1:{upstream}; keepalive 128; }}\n"
        f"upstream asked{port} {{ server {asked}; keepalive 128; }}\n"
        f"server {{ listen 127.0.0.1:{port};\n"
        " proxy_http_version 1.1; proxy_set_header Connection \"\";\n"
        f" location = /ask {{ internal; proxy_pass http://asked{port}{subrequest}; proxy_pass_request_body off;\n"
        "  proxy_set_header Connection \"\"; proxy_set_header Content-Length \"\";\n"
        "  proxy_set_header X-Forwarded-Method $request_method; proxy_set_header X-Forwarded-Uri $request_uri;\n"
        "  proxy_set_header X-Forwarded-For $remote_addr; }\n"
        f" location / {{ auth_request /ask; proxy_set_header Connection \"\"; proxy_set_header Authorization \"\"; proxy_pass http://api{port}; }} }}"
    )
