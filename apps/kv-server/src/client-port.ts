/** Where clients connect: etcd's services over gRPC, on one or more addresses. */
import type { EtcdServices } from '@coracle/etcd-api'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { createServer, type Server as NetServer, type Socket } from 'node:net'
import { EMPTY_SETTINGS, readOpening } from './authority.ts'
import type { Endpoint } from './config.ts'

export interface ClientPortOptions {
  readonly listen: readonly Endpoint[]
  /** The largest request, in bytes. */
  readonly maxRequestBytes: number
  readonly maxConcurrentStreams: number
  /** How long calls may go on after disposal began, before they are cut off. */
  readonly shutdownTimeoutMs: number
}

/** What gRPC adds to a request before etcd looks at its size. */
const GRPC_OVERHEAD_BYTES = 512 * 1024
/** A connection whose first request has not come by then is handed on without. */
const OPENING_TIMEOUT_MS = 5_000
/** HTTP/2 lets a client send 64 KiB before it hears from the server; and the headers come on top. */
const MAX_OPENING_BYTES = 256 * 1024

/**
 * Serves until disposed; the services are disposed, too. Rejects if an address cannot be listened
 * on, and listens on none then.
 */
export async function openClientPort(
  services: EtcdServices,
  options: ClientPortOptions,
): Promise<AsyncDisposable> {
  const grpc = new Server({
    'grpc.max_receive_message_length': options.maxRequestBytes + GRPC_OVERHEAD_BYTES,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': options.maxConcurrentStreams,
    // As in etcd: a connection without traffic is pinged, and ended if that is not answered.
    'grpc.keepalive_time_ms': 7_200_000,
    'grpc.keepalive_timeout_ms': 20_000,
    // Accounting that nobody reads, on every call.
    'grpc.enable_channelz': 0,
  })
  for (const { definition, handlers } of services.services) grpc.addService(definition, handlers)
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure())
  const port = new ClientPort(grpc, services, options.shutdownTimeoutMs)
  try {
    for (const endpoint of options.listen)
      await port.listen(endpoint, (socket) => injector.injectConnection(socket))
  } catch (error) {
    await port[Symbol.asyncDispose]()
    throw error
  }
  return port
}

class ClientPort implements AsyncDisposable {
  readonly #grpc: Server
  readonly #services: EtcdServices
  readonly #shutdownTimeoutMs: number
  readonly #listeners: NetServer[] = []
  readonly #sockets = new Set<Socket>()
  #disposal: Promise<void> | null = null

  constructor(grpc: Server, services: EtcdServices, shutdownTimeoutMs: number) {
    this.#grpc = grpc
    this.#services = services
    this.#shutdownTimeoutMs = shutdownTimeoutMs
  }

  listen({ host, port }: Endpoint, serve: (socket: Socket) => void): Promise<void> {
    const listener = createServer((socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      open(socket, serve)
    })
    return new Promise((resolve, reject) => {
      listener.once('error', reject)
      listener.listen({ host, port }, () => {
        // A connection that cannot be accepted (no file descriptor is free) is its client's loss only.
        listener.off('error', reject).on('error', () => {})
        this.#listeners.push(listener)
        resolve()
      })
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return (this.#disposal ??= this.#dispose())
  }

  /** No more connections, no more calls; what runs may finish, but only until the time is up. */
  async #dispose(): Promise<void> {
    const cutOff = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy()
    }, this.#shutdownTimeoutMs)
    const closed = this.#listeners.map(
      (listener) => new Promise<void>((resolve) => listener.close(() => resolve())),
    )
    await new Promise<void>((resolve) => this.#grpc.tryShutdown(() => resolve()))
    await Promise.all(closed)
    clearTimeout(cutOff)
    await this.#services[Symbol.asyncDispose]()
  }
}

/** Reads as far as the first request, puts it right, and hands the connection on. */
function open(socket: Socket, serve: (socket: Socket) => void): void {
  let bytes: Uint8Array = new Uint8Array()
  let sentSettings = false
  let awaitRequest = true
  const detach = (): void => {
    clearTimeout(timer)
    socket.off('data', take).off('error', giveUp).off('end', giveUp)
  }
  const giveUp = (): void => {
    detach()
    socket.on('error', () => {}).destroy()
  }
  const look = (): void => {
    const opening = readOpening(bytes, { sentSettings, awaitRequest })
    if (opening.type === 'complete') {
      detach()
      socket.pause()
      socket.unshift(opening.bytes)
      serve(socket)
    } else if (bytes.length > MAX_OPENING_BYTES || !awaitRequest) giveUp()
    else if (opening.isHttp2 && !sentSettings) {
      sentSettings = true
      socket.write(EMPTY_SETTINGS)
    }
  }
  const take = (chunk: Uint8Array): void => {
    bytes = Buffer.concat([bytes, chunk])
    look()
  }
  const timer = setTimeout(() => {
    awaitRequest = false
    look()
  }, OPENING_TIMEOUT_MS)
  socket.on('data', take).on('error', giveUp).on('end', giveUp)
}
