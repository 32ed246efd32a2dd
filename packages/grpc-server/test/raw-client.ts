/** A client that speaks HTTP/2 frame by frame, and can say anything. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Flag, FrameReader, FrameType, uint32At } from '../src/frames.ts'
import { HpackDecoder } from '../src/hpack-decoder.ts'

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly streamId: number
  readonly payload: Uint8Array
}

export interface RawClient extends Disposable {
  readonly socket: Socket
  readonly received: Frame[]
  /** Sends these bytes. */
  send(...pieces: readonly Uint8Array[]): void
  /** The first frame, arrived or still to come, that is like this. Rejects if the connection ends before. */
  frame(match: (frame: Frame) => boolean): Promise<Frame>
  /** The error code of the GOAWAY that ends the connection, and its text. */
  failure(): Promise<{ readonly code: number; readonly text: string }>
  /** The error code of the RST_STREAM for this stream. */
  reset(streamId: number): Promise<number>
  /** Resolves when all that was sent has been read: a ping was answered. */
  answered(): Promise<void>
  /** The fields of a frame of headers. Frames are to be given in their order. */
  fields(frame: Frame): Record<string, string>
}

export const PREFACE: Uint8Array = bytes('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
export const SETTINGS: Uint8Array = frame(FrameType.SETTINGS, 0, 0)
export function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'))
}

export function join(...pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces))
}

export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const header = Buffer.alloc(9)
  header.writeUIntBE(payload.length, 0, 3)
  header.writeUInt8(type, 3)
  header.writeUInt8(flags, 4)
  header.writeUInt32BE(streamId, 5)
  return join(header, payload)
}

export function uint32(value: number): Uint8Array {
  const encoded = Buffer.alloc(4)
  encoded.writeUInt32BE(value)
  return new Uint8Array(encoded)
}

export function setting(id: number, value: number): Uint8Array {
  return join(Uint8Array.of(0, id), uint32(value))
}

/** Literals that go into no table. */
export function block(fields: readonly (readonly [string, string])[]): Uint8Array {
  const text = (value: string): Uint8Array => join(Uint8Array.of(value.length), bytes(value))
  return join(...fields.map(([name, value]) => join(Uint8Array.of(0), text(name), text(value))))
}

export const REQUEST: readonly (readonly [string, string])[] = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/test.Test/Echo'],
  [':authority', 'test'],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
]

/** The same request with some fields changed. */
export function requestWith(
  changes: Record<string, string>,
): readonly (readonly [string, string])[] {
  return [...REQUEST.filter(([name]) => !(name in changes)), ...Object.entries(changes)].sort(
    ([a], [b]) => Number(b.startsWith(':')) - Number(a.startsWith(':')),
  )
}

export function headers(
  streamId: number,
  fields: readonly (readonly [string, string])[] = REQUEST,
  flags: number = Flag.END_HEADERS,
): Uint8Array {
  return frame(FrameType.HEADERS, flags, streamId, block(fields))
}

export function message(content: Uint8Array): Uint8Array {
  return join(Uint8Array.of(0), uint32(content.length), content)
}

export function data(
  streamId: number,
  payload: Uint8Array,
  flags: number = Flag.END_STREAM,
): Uint8Array {
  return frame(FrameType.DATA, flags, streamId, payload)
}

/** Connects, and greets unless told not to. */
export async function rawClient(
  address: string,
  greeting: Uint8Array = join(PREFACE, SETTINGS),
): Promise<RawClient> {
  const port = Number(address.slice(address.lastIndexOf(':') + 1))
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  socket.write(greeting)
  return new Raw(socket)
}

class Raw implements RawClient {
  readonly socket: Socket
  readonly received: Frame[] = []
  readonly #decoder = new HpackDecoder(1 << 20)
  #isClosed = false
  #pings = 0
  #wake = (): void => {}

  constructor(socket: Socket) {
    this.socket = socket
    const reader = new FrameReader((type, flags, streamId, from, start, end) => {
      this.received.push({
        type,
        flags,
        streamId,
        payload: new Uint8Array(from.subarray(start, end)),
      })
    })
    socket.on('error', () => {})
    socket.on('data', (chunk: Uint8Array) => {
      reader.read(chunk)
      this.#wake()
    })
    socket.on('close', () => {
      this.#isClosed = true
      this.#wake()
    })
  }

  send(...pieces: readonly Uint8Array[]): void {
    this.socket.write(join(...pieces))
  }

  async frame(match: (frame: Frame) => boolean): Promise<Frame> {
    for (let looked = 0; ;) {
      for (; looked < this.received.length; looked += 1) {
        const candidate = this.received[looked]!
        if (match(candidate)) return candidate
      }
      if (this.#isClosed) throw new Error('the connection has ended')
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async failure(): Promise<{ readonly code: number; readonly text: string }> {
    const { payload } = await this.frame(({ type }) => type === FrameType.GOAWAY)
    return { code: uint32At(payload, 4), text: Buffer.from(payload.subarray(8)).toString() }
  }

  async reset(streamId: number): Promise<number> {
    const { payload } = await this.frame(
      (each) => each.type === FrameType.RST_STREAM && each.streamId === streamId,
    )
    return uint32At(payload, 0)
  }

  async answered(): Promise<void> {
    const number = (this.#pings += 1)
    this.send(frame(FrameType.PING, 0, 0, join(uint32(0), uint32(number))))
    await this.frame(
      ({ type, flags, payload }) =>
        type === FrameType.PING && flags === Flag.ACK && uint32At(payload, 4) === number,
    )
  }

  fields({ payload }: Frame): Record<string, string> {
    const { fields } = this.#decoder.decode(payload, 0, payload.length)
    const pairs = fields.flatMap((name, at) => (at % 2 === 0 ? [[name, fields[at + 1]!]] : []))
    return Object.fromEntries(pairs) as Record<string, string>
  }

  [Symbol.dispose](): void {
    this.socket.destroy()
  }
}
