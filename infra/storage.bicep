// The storage account: queues, tables, containers and role assignments. Shared keys are disabled.
param token string
param location string
param tags object
param sku string
param lanes object
param retentionDays int
@description('Days for which blobs of the audit archive cannot be changed or deleted. 0: no archive.')
param auditArchiveDays int
param appPrincipalId string
param adminPrincipalId string
param adminPrincipalType string
param adminIpAddress string
@description('Subnet and DNS zone of each private endpoint; empty: storage is reached by its public address.')
param endpoints array

var roles = loadJsonContent('roles.json')
var isPrivate = !empty(endpoints)

// All names of relay/platform/resources.py, with the default lanes. A test compares them.
var queues = [
  'relay-transactional'
  'relay-transactional-poison'
  'relay-bulk'
  'relay-bulk-poison'
  'events'
  'events-poison'
  'webhooks'
  'webhooks-poison'
]
var tables = [
  'arrivals'
  'audit'
  'quotas'
  'attachments'
  'clients'
  'deadletters'
  'groups'
  'routes'
  'search'
  'idempotency'
  'journal'
  'mailboxes'
  'pacing'
  'pending'
  'suppressions'
  'templates'
  'timers'
  'topics'
  'webhooks'
  'webhooklog'
]
var containers = [
  'audit'
  'content'
  'attachments'
  'inbox'
  'unreadable'
]

// Custom lanes: relay-<lane>, relay-<lane>-2 and so on (relay/core/settings.py, Lane.queues).
var laneShards = flatten(map(items(lanes), lane => map(range(1, lane.value.?shards ?? 1), shard => { lane: lane.key, shard: shard })))
var laneQueues = map(laneShards, it => it.shard == 1 ? 'relay-${it.lane}' : 'relay-${it.lane}-${it.shard}')
var allQueues = union(queues, laneQueues, map(laneQueues, queue => '${queue}-poison'))

// The host stores leases and keys in blobs, which needs the Owner role; everything else needs data roles only.
var appRoles = map([roles.blobDataOwner, roles.queueDataContributor, roles.tableDataContributor], role => {
  principalId: appPrincipalId
  principalType: 'ServicePrincipal'
  roleDefinitionIdOrName: role
})
// For the hooks and the operator's computer: the same data, without the right to assign roles.
var adminRoles = map([roles.blobDataContributor, roles.queueDataContributor, roles.tableDataContributor], role => {
  principalId: adminPrincipalId
  principalType: adminPrincipalType
  roleDefinitionIdOrName: role
})

module account 'br/public:avm/res/storage/storage-account:0.33.0' = {
  name: 'storage-account'
  params: {
    name: 'strelay${token}'
    location: location
    tags: tags
    kind: 'StorageV2'
    skuName: sku
    accessTier: 'Hot'
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isPrivate && empty(adminIpAddress) ? 'Disabled' : 'Enabled'
    // Set in both cases, because the module closes the firewall by default.
    networkAcls: {
      defaultAction: isPrivate ? 'Deny' : 'Allow'
      bypass: isPrivate ? 'None' : 'AzureServices'
      ipRules: isPrivate && !empty(adminIpAddress) ? [{ action: 'Allow', value: adminIpAddress }] : []
    }
    privateEndpoints: endpoints
    roleAssignments: empty(adminPrincipalId) ? appRoles : concat(appRoles, adminRoles)
    queueServices: {
      queues: map(allQueues, queue => { name: queue })
    }
    tableServices: {
      tables: map(tables, table => { name: table })
    }
    blobServices: {
      // Deleted blobs can be recovered for a week. That counts as storing them: docs/how-to/data-protection.md
      deleteRetentionPolicyEnabled: true
      deleteRetentionPolicyDays: 7
      containerDeleteRetentionPolicyEnabled: true
      containerDeleteRetentionPolicyDays: 7
      containers: map(containers, container => { name: container, publicAccess: 'None' })
    }
    // Relay's purge deletes earlier and more precisely; these rules catch blobs that it never sees.
    managementPolicyRules: [
      {
        name: 'content-that-no-message-can-wait-for'
        enabled: true
        type: 'Lifecycle'
        definition: {
          filters: { blobTypes: ['blockBlob'], prefixMatch: ['content/', 'attachments/2'] }
          // Up to 90 days scheduled, 30 days of retries, 10 days of margin, and then the retention.
          // These blob names begin with the day (2…). Uploads are kept longer, and only Relay knows how long.
          actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: 130 + retentionDays } } }
        }
      }
      {
        name: 'caught-and-unreadable-mail'
        enabled: true
        type: 'Lifecycle'
        definition: {
          filters: { blobTypes: ['blockBlob'], prefixMatch: ['inbox/', 'unreadable/'] }
          actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: retentionDays } } }
        }
      }
    ]
  }
}

// A blob a day, written once (relay/operations/audit/retention.py). The policy is created unlocked; who locks it makes it permanent
// (learn.microsoft.com/azure/storage/blobs/immutable-time-based-retention-policy-overview).
resource auditContainer 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' existing = {
  name: 'strelay${token}/default/audit'
}

resource auditPolicy 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2024-01-01' = if (auditArchiveDays > 0) {
  parent: auditContainer
  name: 'default'
  properties: {
    immutabilityPeriodSinceCreationInDays: auditArchiveDays
    allowProtectedAppendWrites: false
    allowProtectedAppendWritesAll: false
  }
  dependsOn: [account]
}

output name string = account.outputs.name
output blobUrl string = 'https://${account.outputs.name}.blob.${environment().suffixes.storage}'
output queueUrl string = 'https://${account.outputs.name}.queue.${environment().suffixes.storage}'
output tableUrl string = 'https://${account.outputs.name}.table.${environment().suffixes.storage}'
