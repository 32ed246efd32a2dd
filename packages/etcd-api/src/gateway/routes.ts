/** Which method is asked for, by the path of the gateway. */
import type { Rpc } from '../method.ts'
import type { Traffic } from '../metrics/rpc-metrics.ts'
import { type JsonCodec, jsonCodec } from './json-codec.ts'
import { gatewayPaths, withoutBeta } from './paths.ts'

export interface Route {
  readonly rpc: Rpc
  readonly codec: JsonCodec
}

/** Null: there is no method at this path. */
export type RouteOf = (path: string) => Route | null

export function gatewayRoutes(
  rpcs: ReadonlyMap<string, Rpc>,
  limits: { readonly traffic: Traffic; readonly maxMessageBytes: number },
): RouteOf {
  const routes = new Map<string, Route>()
  for (const [path, name] of gatewayPaths()) {
    const rpc = rpcs.get(name)
    if (rpc !== undefined) routes.set(path, { rpc, codec: jsonCodec(rpc.schema, limits) })
  }
  return (path) => routes.get(withoutBeta(path)) ?? null
}

/** Whether the gateway answers at this path, be it that there is nothing. */
export function isGatewayPath(path: string): boolean {
  return withoutBeta(path).startsWith('/v3/')
}
