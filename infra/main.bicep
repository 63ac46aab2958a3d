// Relay in Azure: a Function App on Flex Consumption and its resources, connected by managed identity only.
// `azd up` runs this at the scope of a subscription; docs/deploy.md explains every parameter.
targetScope = 'subscription'

@description('The name of the azd environment. The names of all resources follow from it.')
@minLength(1)
@maxLength(40)
param environmentName string

@description('The region. It must offer Flex Consumption: az functionapp list-flexconsumption-locations')
@metadata({ azd: { type: 'location' } })
param location string

@description('The principal that deploys. Gets the rights to set up storage and to write secrets. Empty: no rights are assigned.')
param principalId string = ''

@description('The type of principalId. In a pipeline it is ServicePrincipal.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param principalType string = 'User'

// ── Size and scale ──

@description('Memory of one instance in MB: 512 is a quarter of a core, 2048 one core, 4096 two. Limits of bytes follow from it.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Maximum instances of each group of functions.')
@minValue(1)
@maxValue(1000)
param maximumInstances int = 40

@description('Concurrent HTTP requests per instance, at most 32 with 512 MB. Group commit needs more than 1, the default for Python.')
@minValue(1)
@maxValue(1000)
param httpConcurrency int = 64

@description('Always-ready instances for HTTP. 0: the first call after a pause waits for a cold start.')
@minValue(0)
@maxValue(20)
param alwaysReadyHttp int = 0

@description('Always-ready instances for the transactional queue.')
@minValue(0)
@maxValue(20)
param alwaysReadyDelivery int = 0

@description('Storage replication. Standard_LRS if the region has no zones; GZRS to survive the loss of a region.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param storageSku string = 'Standard_ZRS'

// ── Network access and sign-in ──

@description('True: a virtual network, and private endpoints for storage and the vault. Needed to reach a smart host on premises.')
param vnetEnabled bool = false

@description('The address space of the virtual network. It must not overlap with networks it will be connected to.')
param vnetAddressPrefix string = '10.64.0.0/24'

@description('With a virtual network: an address or CIDR block that may still reach storage and vault from outside, for administration.')
param adminIpAddress string = ''

@description('The application (client) id of an app registration: callers may then use Microsoft Entra tokens. Empty: keys only.')
param entraClientId string = ''

// ── Alerts and logs ──

@description('Recipients of alerts, separated by commas. Empty: they are visible in the portal only.')
param alertEmail string = ''

@description('The URL of a workflow that posts alerts to Teams (docs/how-to/alerts-to-teams-and-email.md). Anyone with the URL can post.')
@secure()
param alertWebhookUrl string = ''

@description('A queue counts as late when its oldest entry waits longer than this, in minutes.')
@minValue(1)
param lateAfterMinutes int = 10

@description('Retention of logs in days.')
@allowed([30, 60, 90, 120, 180, 270, 365, 550, 730])
param logRetentionDays int = 30

@description('Daily limit of logs in gigabytes; -1 means no limit.')
param logDailyQuotaGb string = '-1'

// ── Providers ──

@description('A SendGrid API key. It is stored in the vault, with a route that uses it unless relayRoutes is set.')
@secure()
param sendGridApiKey string = ''

@description('True: create Azure Communication Services Email with an Azure-managed domain.')
param acsEnabled bool = false

@description('Data location of Azure Communication Services.')
param acsDataLocation string = 'Europe'

@description('True: recover a vault of the same name that was deleted less than a week ago (azd up after azd down).')
param recoverVault bool = false

// ── SMTP submission server (docs/how-to/smtp-submission.md) ──

@description('True: run the SMTP submission server on Azure Container Apps. Needs vnetEnabled.')
param smtpEnabled bool = false

@description('Its image, built from the Dockerfile: name.azurecr.io/relay-smtp:0.2.0')
param smtpImage string = ''

@description('The registry of a private image, such as name.azurecr.io. Empty: the image is public.')
param smtpRegistry string = ''

@description('The host name that clients use, which the certificate is for.')
param smtpHostname string = ''

@description('The secret or certificate in the vault with the certificate and its key.')
param smtpCertificate string = 'smtp'

@description('True: reachable from the internet. False: from the virtual network and networks connected to it.')
param smtpExternal bool = false

@description('Instances of the submission server, at least.')
@minValue(1)
param smtpMinReplicas int = 1

@description('Instances of the submission server, at most.')
@minValue(1)
param smtpMaxReplicas int = 5

// ── Relay's settings (docs/reference/settings.md) ──

@description('RELAY_ROUTES: route name to its provider and settings.')
param relayRoutes object = {}

@description('RELAY_ROUTING: rules that choose the routes of a message.')
param relayRouting array = []

@description('RELAY_LANES: lane name to its settings. Queues for lanes named here are created.')
param relayLanes object = {}

@description('RELAY_EXPIRES_IN_SECONDS')
param relayExpiresInSeconds int = 86400

@description('RELAY_ATTEMPT_SECONDS')
param relayAttemptSeconds int = 480

@description('RELAY_RETENTION_DAYS')
param relayRetentionDays int = 14

@description('RELAY_AUDIT_DAYS')
param relayAuditDays int = 400

@minValue(0)
@maxValue(146000)
@description('RELAY_AUDIT_ARCHIVE: keep an immutable copy of the audit log for this many days. 0: no copy.')
param auditArchiveDays int = 0

@description('RELAY_MAX_MESSAGE_BYTES')
param relayMaxMessageBytes int = 31457280

@description('RELAY_MAX_WAITING_MESSAGES')
param relayMaxWaitingMessages int = 2000

@description('RELAY_MAX_WAITING_BYTES')
param relayMaxWaitingBytes int = 134217728

@description('RELAY_PUBLIC_URL: the address of the app under a custom domain.')
param relayPublicUrl string = ''

@description('RELAY_SENDGRID_EVENT_KEYS: the public keys that SendGrid signs its events with.')
param relaySendgridEventKeys string = ''

@description('RELAY_EVENT_GRID_SECRET: a reference such as vault:event-grid-secret, never the secret itself.')
param relayEventGridSecret string = ''

@description('RELAY_BOUNCE_MAILBOXES: mailboxes in Exchange Online that are read for bounces, and for replies with `replies`.')
param relayBounceMailboxes array = []

@description('RELAY_MESSAGE_TRACE: Exchange Online tenants whose message trace is read. Secrets are references such as vault:trace-secret.')
param relayMessageTrace array = []

@description('RELAY_SUPPRESSIONS: scope and duration of each reason.')
param relaySuppressions object = {}

@description('RELAY_BRAKE: from which rates of bounces and complaints a client is held.')
param relayBrake object = {}

@description('RELAY_WEBHOOKS_ALLOW_LOOPBACK: leave it empty in Azure.')
param relayWebhooksAllowLoopback string = ''

@description('RELAY_ENTRA_TENANTS: ids of the tenants whose users and applications may sign in. Empty: this tenant.')
param relayEntraTenants string = ''

@description('RELAY_ENTRA_ROLES: value of an app role or object id of a group to viewer, support, operator or auditor.')
param relayEntraRoles object = {}

@description('RELAY_TELEMETRY: azure for Application Insights, otlp for another endpoint.')
param relayTelemetry string = ''

@description('OTLP endpoint for metrics and traces.')
param otlpEndpoint string = ''

@description('Headers for that endpoint. Give a key as a Key Vault reference, never the key itself.')
param otlpHeaders string = ''

var tags = { 'azd-env-name': environmentName }
var token = toLower(uniqueString(subscription().id, environmentName, location))
var sendGridSecret = 'sendgrid-api-key'
// The app reads the vault itself: it retries while a role assignment is not effective yet, and a new key needs no restart.
var sendGridRoutes = { sendgrid: { provider: 'sendgrid', api_key: 'vault:${sendGridSecret}' } }
var routes = empty(relayRoutes) && !empty(sendGridApiKey) ? sendGridRoutes : relayRoutes

module group 'br/public:avm/res/resources/resource-group:0.4.4' = {
  name: 'resource-group'
  params: {
    name: 'rg-${environmentName}'
    location: location
    tags: tags
  }
}

module identity 'br/public:avm/res/managed-identity/user-assigned-identity:0.6.0' = {
  name: 'identity'
  scope: resourceGroup('rg-${environmentName}')
  dependsOn: [group]
  params: {
    name: 'id-relay-${token}'
    location: location
    tags: tags
  }
}

// The platform stores and reads the deployment package with this identity. It has a role on the package's account alone.
module deploymentIdentity 'br/public:avm/res/managed-identity/user-assigned-identity:0.6.0' = {
  name: 'deployment-identity'
  scope: resourceGroup('rg-${environmentName}')
  dependsOn: [group]
  params: {
    name: 'id-deployment-${token}'
    location: location
    tags: tags
  }
}

// With this identity App Service authentication proves that it is the app registration, in place of a client secret. It has no role
// (learn.microsoft.com/azure/app-service/configure-authentication-provider-aad, "Use a managed identity instead of a secret").
module signInIdentity 'br/public:avm/res/managed-identity/user-assigned-identity:0.6.0' = if (!empty(entraClientId)) {
  name: 'sign-in-identity'
  scope: resourceGroup('rg-${environmentName}')
  dependsOn: [group]
  params: {
    name: 'id-sign-in-${token}'
    location: location
    tags: tags
  }
}

module network 'network.bicep' = if (vnetEnabled) {
  name: 'network'
  scope: resourceGroup('rg-${environmentName}')
  dependsOn: [group]
  params: {
    token: token
    location: location
    tags: tags
    addressPrefix: vnetAddressPrefix
    hasSmtp: smtpEnabled
  }
}

module monitoring 'monitoring.bicep' = {
  name: 'monitoring'
  scope: resourceGroup('rg-${environmentName}')
  dependsOn: [group]
  params: {
    token: token
    location: location
    tags: tags
    appPrincipalId: identity.outputs.principalId
    retentionDays: logRetentionDays
    dailyQuotaGb: logDailyQuotaGb
  }
}

module storage 'storage.bicep' = {
  name: 'storage'
  scope: resourceGroup('rg-${environmentName}')
  dependsOn: [group]
  params: {
    token: token
    location: location
    tags: tags
    sku: storageSku
    lanes: relayLanes
    retentionDays: relayRetentionDays
    auditArchiveDays: auditArchiveDays
    appPrincipalId: identity.outputs.principalId
    adminPrincipalId: principalId
    adminPrincipalType: principalType
    adminIpAddress: adminIpAddress
    endpoints: vnetEnabled ? network!.outputs.storageEndpoints : []
  }
}

module package 'package.bicep' = {
  name: 'package'
  scope: resourceGroup('rg-${environmentName}')
  dependsOn: [group]
  params: {
    token: token
    location: location
    tags: tags
    sku: storageSku
    deploymentPrincipalId: deploymentIdentity.outputs.principalId
    endpoints: vnetEnabled ? network!.outputs.packageEndpoints : []
  }
}

module vault 'vault.bicep' = {
  name: 'vault'
  scope: resourceGroup('rg-${environmentName}')
  dependsOn: [group]
  params: {
    token: token
    location: location
    tags: tags
    appPrincipalId: identity.outputs.principalId
    adminPrincipalId: principalId
    adminPrincipalType: principalType
    adminIpAddress: adminIpAddress
    sendGridApiKey: sendGridApiKey
    sendGridSecret: sendGridSecret
    recover: recoverVault
    endpoints: vnetEnabled ? network!.outputs.vaultEndpoints : []
  }
}

module acs 'acs.bicep' = if (acsEnabled) {
  name: 'acs'
  scope: resourceGroup('rg-${environmentName}')
  dependsOn: [group]
  params: {
    token: token
    tags: tags
    dataLocation: acsDataLocation
    appPrincipalId: identity.outputs.principalId
  }
}

module app 'app.bicep' = {
  name: 'app'
  scope: resourceGroup('rg-${environmentName}')
  params: {
    token: token
    location: location
    tags: tags
    instanceMemoryMB: instanceMemoryMB
    maximumInstances: maximumInstances
    httpConcurrency: httpConcurrency
    alwaysReadyHttp: alwaysReadyHttp
    alwaysReadyDelivery: alwaysReadyDelivery
    identityId: identity.outputs.resourceId
    deploymentIdentityId: deploymentIdentity.outputs.resourceId
    packageContainerUrl: package.outputs.containerUrl
    subnetId: vnetEnabled ? network!.outputs.appSubnetId : ''
    entraClientId: entraClientId
    signInIdentityId: empty(entraClientId) ? '' : signInIdentity!.outputs.resourceId
    signInIdentityClientId: empty(entraClientId) ? '' : signInIdentity!.outputs.clientId
    storageSettings: {
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: identity.outputs.clientId
      AzureWebJobsStorage__blobServiceUri: storage.outputs.blobUrl
      AzureWebJobsStorage__queueServiceUri: storage.outputs.queueUrl
      AzureWebJobsStorage__tableServiceUri: storage.outputs.tableUrl
    }
    telemetrySettings: {
      APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.connectionString
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.outputs.clientId};Authorization=AAD'
      OTEL_EXPORTER_OTLP_ENDPOINT: otlpEndpoint
      OTEL_EXPORTER_OTLP_HEADERS: otlpHeaders
    }
    relaySettings: {
      // The identity with which Relay reads the vault (relay/platform/entra_tokens.py).
      AZURE_CLIENT_ID: identity.outputs.clientId
      RELAY_KEY_VAULT_URL: vault.outputs.url
      RELAY_ROUTES: empty(routes) ? '' : string(routes)
      RELAY_ROUTING: empty(relayRouting) ? '' : string(relayRouting)
      RELAY_LANES: empty(relayLanes) ? '' : string(relayLanes)
      RELAY_EXPIRES_IN_SECONDS: string(relayExpiresInSeconds)
      RELAY_ATTEMPT_SECONDS: string(relayAttemptSeconds)
      RELAY_RETENTION_DAYS: string(relayRetentionDays)
      RELAY_AUDIT_DAYS: string(relayAuditDays)
      RELAY_AUDIT_ARCHIVE: auditArchiveDays > 0 ? 'true' : ''
      RELAY_INSTANCE_MEMORY_MB: string(instanceMemoryMB)
      RELAY_MAX_MESSAGE_BYTES: string(relayMaxMessageBytes)
      RELAY_MAX_WAITING_MESSAGES: string(relayMaxWaitingMessages)
      RELAY_MAX_WAITING_BYTES: string(relayMaxWaitingBytes)
      RELAY_PUBLIC_URL: relayPublicUrl
      RELAY_SENDGRID_EVENT_KEYS: relaySendgridEventKeys
      RELAY_EVENT_GRID_SECRET: relayEventGridSecret
      RELAY_BOUNCE_MAILBOXES: empty(relayBounceMailboxes) ? '' : string(relayBounceMailboxes)
      RELAY_MESSAGE_TRACE: empty(relayMessageTrace) ? '' : string(relayMessageTrace)
      RELAY_SUPPRESSIONS: empty(relaySuppressions) ? '' : string(relaySuppressions)
      RELAY_BRAKE: empty(relayBrake) ? '' : string(relayBrake)
      RELAY_WEBHOOKS_ALLOW_LOOPBACK: relayWebhooksAllowLoopback
      RELAY_ENTRA_TENANTS: empty(relayEntraTenants) ? tenant().tenantId : relayEntraTenants
      RELAY_ENTRA_ROLES: empty(relayEntraRoles) ? '' : string(relayEntraRoles)
      RELAY_TELEMETRY: relayTelemetry
      // Keys are never application settings: RELAY_ROUTES refers to them in the vault.
      SENDGRID_API_KEY: ''
    }
  }
}

module smtp 'smtp.bicep' = if (smtpEnabled && vnetEnabled) {
  name: 'smtp'
  scope: resourceGroup('rg-${environmentName}')
  params: {
    token: token
    location: location
    tags: tags
    relayUrl: app.outputs.url
    image: smtpImage
    registry: smtpRegistry
    hostname: smtpHostname
    certificateSecret: smtpCertificate
    vaultName: vault.outputs.name
    isExternal: smtpExternal
    minReplicas: smtpMinReplicas
    maxReplicas: smtpMaxReplicas
    subnetId: network!.outputs.smtpSubnetId
    workspaceId: monitoring.outputs.workspaceId
  }
}

module alerts 'alerts.bicep' = {
  name: 'alerts'
  scope: resourceGroup('rg-${environmentName}')
  params: {
    token: token
    location: location
    tags: tags
    componentId: monitoring.outputs.componentId
    email: alertEmail
    webhookUrl: alertWebhookUrl
    lateAfterMinutes: lateAfterMinutes
  }
}

module workbook 'workbook.bicep' = {
  name: 'workbook'
  scope: resourceGroup('rg-${environmentName}')
  params: {
    location: location
    tags: tags
    componentId: monitoring.outputs.componentId
  }
}

output AZURE_RESOURCE_GROUP string = 'rg-${environmentName}'
output RELAY_URL string = app.outputs.url
output RELAY_APP_NAME string = app.outputs.name
output RELAY_KEY_VAULT_NAME string = vault.outputs.name
output RELAY_IDENTITY_CLIENT_ID string = identity.outputs.clientId
output RELAY_IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
output RELAY_SIGN_IN_PRINCIPAL_ID string = empty(entraClientId) ? '' : signInIdentity!.outputs.principalId
output RELAY_STORAGE_BLOB_URL string = storage.outputs.blobUrl
output RELAY_STORAGE_QUEUE_URL string = storage.outputs.queueUrl
output RELAY_STORAGE_TABLE_URL string = storage.outputs.tableUrl
output RELAY_ACS_ENDPOINT string = acsEnabled ? acs!.outputs.endpoint : ''
output RELAY_ACS_SENDER_DOMAIN string = acsEnabled ? acs!.outputs.senderDomain : ''
output RELAY_SMTP_ADDRESS string = smtpEnabled && vnetEnabled ? smtp!.outputs.address : ''
output RELAY_NEXT_STEP string = 'Try it: ${app.outputs.url}/docs. The first key is in .azure/${environmentName}/relay-client-key; docs/deploy.md goes on from there.'
