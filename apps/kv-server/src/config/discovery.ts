/** Flags that say where to find who founds the cluster. */
import type { SrvDomain } from '../discovery/srv.ts'
import type { Settings } from '../flags.ts'
import { UsageError } from '../usage.ts'

const DOMAIN_FORM = /^[^\s./@:]+(?:\.[^\s./@:]+)*$/

/** Null if no domain is asked. Throws a {@link UsageError} if it is not the only source of members. */
export function srvDomainOf(settings: Settings): SrvDomain | null {
  const { 'discovery-srv': given, 'discovery-srv-name': serviceName } = settings
  if (given === '') return null
  if (settings['initial-cluster'] !== '')
    throw new UsageError(
      'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster" or "discovery-srv"',
    )
  const domain = given.replace(/\.$/, '')
  if (!DOMAIN_FORM.test(domain))
    throw new UsageError(`--discovery-srv must be a domain such as example.com, not '${given}'`)
  if (serviceName !== '' && !DOMAIN_FORM.test(`x${serviceName}`))
    throw new UsageError(`--discovery-srv-name must be a part of a name, not '${serviceName}'`)
  return { domain, serviceName }
}

/** What was set and changes nothing, a line for each. */
export function idleDiscovery(settings: Settings): readonly string[] {
  const isIdle = settings['discovery-srv'] === '' && settings['discovery-srv-name'] !== ''
  return isIdle ? ['--discovery-srv-name has no meaning without --discovery-srv'] : []
}
