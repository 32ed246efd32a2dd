/** Calls methods by name, in the messages of the wire, without gRPC. */
import { isEncoded, joined } from '../encoded.ts'
import { unexpected } from '../errors.ts'
import type { Rpc } from '../method.ts'
import { codecOf } from '../schema.ts'
import { InProcessCall, type InProcessOptions, InProcessStream } from './in-process-call.ts'

export interface Caller {
  /**
   * Calls a method with one answer (`etcdserverpb.Maintenance/Status`). The request is an object in
   * the schema's names; what it leaves out is zero. Rejects with an EtcdError, or with the signal's
   * reason.
   */
  call<Response extends object>(
    method: string,
    request?: object,
    options?: InProcessOptions,
  ): Promise<Response>
  /** Opens a two-way stream. */
  open<Request extends object, Response extends object>(
    method: string,
    options?: InProcessOptions,
  ): ClientStream<Request, Response>
}

export interface ClientStream<Request, Response> extends Disposable {
  send(request: Request): void
  /** The next message, or null when there are no more. Rejects with what ended the stream. */
  next(): Promise<Response | null>
}

export function inProcessCaller(rpcs: ReadonlyMap<string, Rpc>): Caller {
  const find = <Kind extends Rpc['kind']>(
    kind: Kind,
    method: string,
  ): Extract<Rpc, { kind: Kind }> => {
    const rpc = rpcs.get(`/${method}`)
    if (rpc?.kind !== kind) throw new TypeError(`there is no ${kind} method ${method}`)
    return rpc as Extract<Rpc, { kind: Kind }>
  }
  return {
    async call<Response>(method: string, request: object = {}, options: InProcessOptions = {}) {
      options.signal?.throwIfAborted()
      const rpc = find('unary', method)
      const call = new InProcessCall(options)
      try {
        const answer = rpc.call(complete(rpc, request), call)
        return (await Promise.race([answer, whenOver(call)])) as Response
      } catch (error) {
        options.signal?.throwIfAborted()
        throw unexpected(error)
      } finally {
        call.finish()
      }
    },
    open<Request extends object, Response extends object>(
      method: string,
      options: InProcessOptions = {},
    ): ClientStream<Request, Response> {
      options.signal?.throwIfAborted()
      const rpc = find('duplex', method)
      const stream = new InProcessStream(options)
      const responses = codecOf<Response>(rpc.schema.responseType)
      rpc.call(stream)
      return {
        send: (request) => stream.send(complete(rpc, request)),
        async next() {
          const message = await stream.next()
          if (message === null || !isEncoded(message)) return message as Response
          return responses.decode(joined(message))
        },
        [Symbol.dispose]: () => stream.finish(),
      }
    },
  }
}

/** Through its bytes: what is left out has its zero value then, and what is wrong throws here. */
function complete({ schema }: Rpc, request: object): object {
  const codec = codecOf<object>(schema.requestType)
  return codec.decode(codec.encode(request))
}

function whenOver(call: InProcessCall): Promise<never> {
  return new Promise((_, reject) => call.onceOver(() => reject(new Error('nobody waits'))))
}
