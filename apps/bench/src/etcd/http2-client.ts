/**
 * HTTP/2 from the client's side, as little of it as a load needs: what arrives is told apart and
 * handed on where it lies. A client of a library costs several times what the server does that it
 * is to measure, and on the same machine that is taken from the server.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const DATA = 0
const HEADERS = 1
const RST_STREAM = 3
const SETTINGS = 4
const PING = 6
const GOAWAY = 7
const WINDOW_UPDATE = 8
const ACK = 0x1
const END_HEADERS = 0x4

const HEADER_BYTES = 9
const PREFIX_BYTES = 5
const DEFAULT_WINDOW_BYTES = 65_535
/** What the server may send before it hears that it was read: never less than it wants to. */
const WINDOW_BYTES = 0x4000_0000
/** No larger ones are asked for, so none come (RFC 9113, section 4.2). */
const MAX_FRAME_BYTES = 9 + 16_384
const READ_BYTES = 262_144
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

export interface Http2Sink {
  /** A message of any stream: `bytes` in [start, end), and only until this returns. */
  message(bytes: Uint8Array, start: number, end: number): void
  /** The server has ended the connection or a stream, neither of which it is to do. */
  failed(error: Error): void
}

/** A connection with two-way streams of gRPC on it, which stay open as long as it does. */
export interface Http2Client extends Disposable {
  /** Opens a stream of the method with this path; answers with its number. */
  open(path: string): number
  send(stream: number, message: Uint8Array): void
}

export async function http2Client(address: string, sink: Http2Sink): Promise<Http2Client> {
  const url = new URL(`http://${address}`)
  // Read into one place, again and again: memory for each read costs more than to count what is in it.
  let read = (_bytes: Uint8Array): void => {}
  const socket = connect({
    host: url.hostname,
    port: Number(url.port),
    noDelay: true,
    onread: {
      buffer: Buffer.allocUnsafe(READ_BYTES),
      callback(bytes, buffer) {
        read(buffer.subarray(0, bytes))
        return true
      },
    },
  })
  await once(socket, 'connect')
  const client = new HttpClient(socket, address, sink)
  read = (bytes) => client.read(bytes)
  return client
}

class HttpClient implements Http2Client {
  readonly #socket: Socket
  readonly #authority: string
  readonly #sink: Http2Sink
  /** What was read last, behind what was left of a frame that was not whole. */
  readonly #arrived: Buffer = Buffer.allocUnsafe(READ_BYTES + MAX_FRAME_BYTES)
  #leftBytes = 0
  /** What has arrived of a message that is cut into frames, by stream. */
  readonly #cut = new Map<number, Buffer>()
  #nextStream = 1
  #receivedBytes = 0
  #sendWindow = DEFAULT_WINDOW_BYTES
  readonly #unsent: Buffer[] = []

  constructor(socket: Socket, authority: string, sink: Http2Sink) {
    this.#socket = socket
    this.#authority = authority
    this.#sink = sink
    const window = Buffer.alloc(6)
    window.writeUInt16BE(4)
    window.writeUInt32BE(WINDOW_BYTES, 2)
    socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0, window)]))
    socket.write(windowUpdate(WINDOW_BYTES - DEFAULT_WINDOW_BYTES))
    socket.on('error', (error) => sink.failed(error))
    socket.on('end', () => sink.failed(new Error('the server has hung up')))
  }

  open(path: string): number {
    const stream = this.#nextStream
    this.#nextStream += 2
    const fields = [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', path],
      [':authority', this.#authority],
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
    ] as const
    const block = Buffer.concat(fields.map(([name, value]) => literal(name, value)))
    this.#socket.write(frame(HEADERS, END_HEADERS, stream, block))
    return stream
  }

  send(stream: number, message: Uint8Array): void {
    const payload = Buffer.alloc(PREFIX_BYTES + message.length)
    payload.writeUInt32BE(message.length, 1)
    payload.set(message, PREFIX_BYTES)
    this.#unsent.push(frame(DATA, 0, stream, payload))
    this.#sendSome()
  }

  #sendSome(): void {
    for (let first = this.#unsent[0]; first !== undefined; first = this.#unsent[0]) {
      const bytes = first.length - HEADER_BYTES
      if (bytes > this.#sendWindow) return
      this.#sendWindow -= bytes
      this.#socket.write(first)
      this.#unsent.shift()
    }
  }

  read(read: Uint8Array): void {
    const bytes = this.#arrived
    bytes.set(read, this.#leftBytes)
    const arrived = this.#leftBytes + read.length
    let at = 0
    while (arrived - at >= HEADER_BYTES) {
      const start = at + HEADER_BYTES
      const end = start + bytes.readUIntBE(at, 3)
      if (end > arrived) break
      if (bytes[at + 3] === DATA) this.#data(bytes.readUInt32BE(at + 5), bytes, start, end)
      else this.#control(bytes, at, end)
      at = end
    }
    bytes.copyWithin(0, at, arrived)
    this.#leftBytes = arrived - at
    this.#credit()
  }

  #data(stream: number, bytes: Buffer, start: number, end: number): void {
    this.#receivedBytes += end - start
    const cut = this.#cut.get(stream)
    if (cut === undefined) return this.#messages(stream, bytes, start, end)
    this.#cut.delete(stream)
    const joined = Buffer.concat([cut, bytes.subarray(start, end)])
    this.#messages(stream, joined, 0, joined.length)
  }

  #messages(stream: number, bytes: Buffer, start: number, end: number): void {
    let at = start
    while (end - at >= PREFIX_BYTES) {
      const next = at + PREFIX_BYTES + bytes.readUInt32BE(at + 1)
      if (next > end) break
      this.#sink.message(bytes, at + PREFIX_BYTES, next)
      at = next
    }
    if (at < end) this.#cut.set(stream, Buffer.from(bytes.subarray(at, end)))
  }

  #control(bytes: Buffer, at: number, end: number): void {
    const type = bytes[at + 3]
    const isAck = ((bytes[at + 4] ?? 0) & ACK) !== 0
    const payload = bytes.subarray(at + HEADER_BYTES, end)
    if (type === SETTINGS && !isAck) this.#socket.write(frame(SETTINGS, ACK, 0, Buffer.alloc(0)))
    else if (type === PING && !isAck) this.#socket.write(frame(PING, ACK, 0, payload))
    else if (type === WINDOW_UPDATE && bytes.readUInt32BE(at + 5) === 0) {
      this.#sendWindow += payload.readUInt32BE()
      this.#sendSome()
    } else if (type === RST_STREAM || type === GOAWAY)
      this.#sink.failed(new Error('the server has ended what is measured'))
  }

  #credit(): void {
    if (this.#receivedBytes < WINDOW_BYTES / 4) return
    this.#socket.write(windowUpdate(this.#receivedBytes))
    this.#receivedBytes = 0
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + payload.length)
  bytes.writeUIntBE(payload.length, 0, 3)
  bytes[3] = type
  bytes[4] = flags
  bytes.writeUInt32BE(stream, 5)
  bytes.set(payload, HEADER_BYTES)
  return bytes
}

function windowUpdate(bytes: number): Buffer {
  const payload = Buffer.alloc(4)
  payload.writeUInt32BE(bytes)
  return frame(WINDOW_UPDATE, 0, 0, payload)
}

/** A field that goes into no table. */
function literal(name: string, value: string): Buffer {
  const [from, to] = [Buffer.from(name, 'latin1'), Buffer.from(value, 'latin1')]
  return Buffer.concat([Buffer.of(0, from.length), from, Buffer.of(to.length), to])
}
