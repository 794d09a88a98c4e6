"""The gRPC face: parse, call, encode. The only room that knows gRPC and the messages."""
