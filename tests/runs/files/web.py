import http.server
import os
import signal
import sys
import urllib.request


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"served\n")


def serve():
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    http.server.HTTPServer(("127.0.0.1", 8080), Page).serve_forever()


def ask():
    print(urllib.request.urlopen("http://127.0.0.1:8080/").read().decode())


def run(program):
    try:
        os.execv(program, [program])
    except OSError as error:
        print(error.strerror)
        return 126


def main():
    match sys.argv[1:]:
        case []:
            return serve()
        case ["ask"]:
            return ask()
        case ["run", program]:
            return run(program)
    return 2
