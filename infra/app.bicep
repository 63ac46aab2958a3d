// The Function App and its plan.
param token string
param location string
param tags object
param instanceMemoryMB int
param maximumInstances int
param httpConcurrency int
param alwaysReadyHttp int
param alwaysReadyDelivery int
param identityId string
param deploymentIdentityId string
param packageContainerUrl string
@description('Empty: no virtual network.')
param subnetId string
@description('Empty: no Microsoft Entra authentication.')
param entraClientId string
@description('The identity in place of a client secret; empty without Microsoft Entra authentication.')
param signInIdentityId string
param signInIdentityClientId string
param storageSettings object
param telemetrySettings object
param relaySettings object

var name = 'func-relay-${token}'

// With 512 MB an instance has a quarter of a core, and less memory for what it does at once. Application settings override host.json
// (learn.microsoft.com/azure/azure-functions/functions-host-json#override-hostjson-values).
var isSmall = instanceMemoryMB < 2048
var mostHttp = isSmall ? min(httpConcurrency, 32) : httpConcurrency
var smallSettings = isSmall ? {
  AzureFunctionsJobHost__extensions__queues__batchSize: '8'
  AzureFunctionsJobHost__extensions__queues__newBatchThreshold: '4'
} : {}
// Relay has a page of its own at `/` (learn.microsoft.com/azure/azure-functions/functions-app-settings#azurewebjobsdisablehomepage).
var hostSettings = union(smallSettings, { AzureWebJobsDisableHomepage: 'true' })

// Groups scale independently: all HTTP functions together, each queue function alone.
var readyForHttp = alwaysReadyHttp == 0 ? [] : [{ name: 'http', instanceCount: alwaysReadyHttp }]
var readyForDelivery = alwaysReadyDelivery == 0 ? [] : [{ name: 'function:deliver_transactional_1', instanceCount: alwaysReadyDelivery }]

// The platform signs in with this identity if the setting of the client secret has this name
// (learn.microsoft.com/azure/app-service/configure-authentication-provider-aad, "Use a managed identity instead of a secret").
// It then uses the hybrid flow, with a code that it redeems; without it, the implicit flow
// (learn.microsoft.com/azure/app-service/overview-authentication-authorization, "Client type and OAuth flow behavior").
var signInSettings = empty(entraClientId) ? {} : { OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID: signInIdentityClientId }
var identities = concat([identityId, deploymentIdentityId], empty(entraClientId) ? [] : [signInIdentityId])

// Relay checks keys itself, so one address serves keys and tokens; requests without a token are not redirected to a sign-in page.
var authConfig = [
  {
    name: 'authsettingsV2'
    properties: {
      globalValidation: {
        requireAuthentication: false
        unauthenticatedClientAction: 'AllowAnonymous'
      }
      httpSettings: { requireHttps: true }
      identityProviders: {
        azureActiveDirectory: {
          enabled: true
          registration: {
            clientId: entraClientId
            clientSecretSettingName: 'OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID'
            openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
          }
          validation: { allowedAudiences: [entraClientId, 'api://${entraClientId}'] }
        }
      }
      login: { tokenStore: { enabled: false } }
      platform: { enabled: true }
    }
  }
]
var settingsConfig = [
  {
    name: 'appsettings'
    // Settings that are not in this deployment are removed: the portal is not a second place to configure.
    retainCurrentAppSettings: false
    properties: union(storageSettings, telemetrySettings, relaySettings, hostSettings, signInSettings)
  }
]

module plan 'br/public:avm/res/web/serverfarm:0.7.0' = {
  name: 'plan'
  params: {
    name: 'plan-relay-${token}'
    location: location
    tags: tags
    kind: 'functionapp'
    skuName: 'FC1'
    reserved: true
  }
}

module site 'br/public:avm/res/web/site:0.24.0' = {
  name: 'function-app'
  params: {
    name: name
    location: location
    tags: union(tags, { 'azd-service-name': 'relay' })
    kind: 'functionapp,linux'
    serverFarmResourceId: plan.outputs.resourceId
    managedIdentities: { userAssignedResourceIds: identities }
    keyVaultAccessIdentityResourceId: identityId
    httpsOnly: true
    virtualNetworkSubnetResourceId: empty(subnetId) ? null : subnetId
    basicPublishingCredentialsPolicies: [
      { name: 'ftp', allow: false }
      { name: 'scm', allow: false }
    ]
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainerUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: deploymentIdentityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstances
        alwaysReady: concat(readyForHttp, readyForDelivery)
        triggers: { http: { perInstanceConcurrency: mostHttp } }
      }
    }
    // This object replaces the module's default, so it sets every property that matters.
    siteConfig: {
      alwaysOn: false
      ftpsState: 'Disabled'
      http20Enabled: true
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
    }
    configs: empty(entraClientId) ? settingsConfig : concat(settingsConfig, authConfig)
  }
}

output name string = site.outputs.name
output url string = 'https://${site.outputs.defaultHostname}'
