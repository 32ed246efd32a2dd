/** Which handler serves a path, and what is said of a path that none does. */
import type { Handler } from './call.ts'
import { Code, type Status } from './status.ts'

export interface Routes {
  find(path: string): Handler | undefined
  /** In the words of grpc-go. */
  refusal(path: string): Status
}

/** Throws a TypeError for a path that is not of the form `/service/method`. */
export function routesOf(services: Readonly<Record<string, Handler>>): Routes {
  const handlers = new Map(Object.entries(services))
  const known = new Set<string>()
  for (const path of handlers.keys()) {
    const [, service] = /^\/([^/]+)\/[^/]+$/.exec(path) ?? []
    if (service === undefined) throw new TypeError(`not a path of gRPC: ${path}`)
    known.add(service)
  }
  return {
    find: (path) => handlers.get(path),
    refusal(path) {
      const [, service, method] = /^\/(.*)\/([^/]*)$/.exec(path) ?? []
      const unimplemented = (message: string): Status => ({ code: Code.UNIMPLEMENTED, message })
      if (service === undefined) return unimplemented(`malformed method name: "${path}"`)
      if (!known.has(service)) return unimplemented(`unknown service ${service}`)
      return unimplemented(`unknown method ${method} for service ${service}`)
    },
  }
}
