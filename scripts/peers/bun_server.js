// Bun's WebSocket server, which is uWebSockets: rooms are its topics.  bun_server.js PORT

const ECHO = "/echo";

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  fetch(request, server) {
    const room = new URL(request.url).pathname;
    if (!server.upgrade(request, { data: { room } })) {
      return new Response("This is a WebSocket server.", { status: 426 });
    }
  },
  websocket: {
    perMessageDeflate: false,
    publishToSelf: true,
    idleTimeout: 0,
    backpressureLimit: 1 << 30,
    open(socket) {
      if (socket.data.room !== ECHO) socket.subscribe(socket.data.room);
    },
    message(socket, text) {
      if (socket.data.room === ECHO) socket.send(text);
      else socket.publish(socket.data.room, text);
    },
  },
});
