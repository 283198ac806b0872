package bounce

// This file holds the words of reports: what mail systems are called, what they
// say of failures and delays, and how they announce what they give back.

// robots are local parts of mail systems.
var robots = []string{
	"smtp", "mailagent", "mail-agent", "mail_agent", "mailer-daemon", "mailerdaemon", "mailer_daemon", "mail-daemon",
	"postmaster", "post_master", "mdaemon", "ndr", "ndn", "mail.delivery.system", "mail-delivery", "mailsystem",
	"mail-system", "mail_system", "mmdf", "posta-certificata", "symantec_antivirus_for_smtp_gateways",
	"e500_smtp_mail_service", "mailadmin", "maildelivery", "dsn", "double-bounce", "mailadministrator", "mailmarshal",
	"nospamproxy", "mailgate", "mailguard", "mailscanner", "mailsecurity", "mailfilter", "mail-filter", "spamfilter",
	"spam-filter", "antispam", "antivirus", "virusscanner", "mailgateway", "mail-gateway", "scanmail", "interscan",
	"mimesweeper", "mailsweeper", "nondelivery", "non-delivery", "undeliverable", "unzustellbar", "no-entregado",
	"correo-no-entregado", "non-remis", "onbestelbaar", "imss", "imsva", "iwss", "ciphermail", "mimecast",
	"proofpoint", "messagelabs",
}

// robotNames are in the names that mail systems give themselves, folded.
var robotNames = newLexicon(
	"courier mail server", "mail agent", "memo service", "mail delivery s", "mail delivery agent", "mail delivery daemon",
	"mail delivery error", "mail delivery fail", "mail delivery noti", "mail delivery report", "mail delivery <", `mail delivery"`,
	"mailer-daemon", "mailer daemon", "delivery subsystem", "delivery system", "microsoft exchange",
	"microsoft outlook", "internet mail delivery", "ndr administrator", "mta daemon", "delivery notification",
	"notesmail", "notes router", "mail router",
)

// robotMailers are in what gates that write for nobody else say they are in
// X-Mailer, folded.
var robotMailers = newLexicon("interscan", "mimesweeper", "mailsweeper", "m-filter", "mailmarshal", "scanmail", "mailscanner", "amavis", "nospamproxy", "symantec mail security", "puremessage")

// roles are local parts, and roleNames names, of mail systems and of people and
// services as well.
var roles = []string{"bounce", "bounces", "delivery", "sysadmin", "administrator"}

var roleNames = newLexicon("delivery service", "mailserver", "mail server", "system administrator", "mail administrator", "mail gateway", "mail router", "mail system")

// failures are what subjects and texts of failure reports say, folded.
var failures = newLexicon(
	"undeliver", "could not be delivered", "couldn't be delivered", "cannot be delivered", "can't be delivered",
	"could not deliver", "couldn't deliver", "cannot deliver", "can not be delivered", "unable to deliver",
	"not able to deliver", "wasn't able to deliver", "was not able to deliver", "unable to be delivered",
	"not delivered", "not been delivered", "wasn't delivered", "was not delivered", "non-delivery", "nondeliver",
	"non deliver", "delivery fail", "delivery has failed", "delivery has been failed", "delivery problem",
	"delivery error", "delivery notification: delivery has failed", "delivery status notification",
	"delivery to the following", "delivery report", "delevery to the following", "error delivering",
	"error while delivering", "error sending your mail", "error occurred while trying to deliver",
	"error was encountered while attempting to deliver", "failed delivery", "failure delivering", "failed to deliver",
	"failure notice", "failure notification", "returned mail", "returned to sender", "return to sender",
	"returning message to sender", "mail failed", "mail failure", "mail error", "mail system error", "mail returned",
	"message returned", "permanent error", "permanent fatal errors", "permanent failure", "failed permanently",
	"failed recipients", "failed addresses", "following address failed", "following addresses failed",
	"following address(es) failed", "address(es) failed", "addresses had delivery", "delivery errors", "did not reach",
	"trouble delivering", "delivery attempt", "processing error", "error during delivery", "undelivered",
	"transcript of session", "bounced", "invalid user address", "unable to find user", "mailbox is full:",
	"has failed due to", "user unknown", "no such user", "giving up", "loop alert", "wrong or no longer valid",
	"group you tried to contact", "unzustellbar", "nicht zugestellt", "zustellung * fehlgeschlagen",
	"konnte nicht zugestellt", "konnten nicht zugestellt", "zustellfehler", "fehlgeschlagen", "non remis",
	"non distribue", "n'a pas pu etre", "echec de", "non delivre", "non livre", "no se pudo entregar",
	"no pudo ser entregado", "no entregado", "no se ha podido entregar", "devuelto", "mancata consegna",
	"non recapitabile", "non e stato possibile", "impossibile recapitare", "nao pode ser entregue",
	"nao foi possivel entregar", "nao entregue", "nao pode ser enviada", "devolvida", "onbestelbaar",
	"niet worden bezorgd", "niet bezorgd", "niet afgeleverd", "nie moze byc dostarcz", "nie zostala dostarczona",
	"niedostarcz", "nelze dorucit", "nedorucit", "nedorucen", "kezbesithetetlen", "kunde inte levereras",
	"kunne ikke leveres", "olevererbart", "toimitus epaonnistui", "teslim edilemedi", "nu a putut fi", "не доставлено",
	"не может быть доставлено", "не удалось доставить", "недоставлен", "не доставлен", "配信不能", "配信できません", "送信できません",
	"送信に失敗", "配送できません", "届けることができません", "エラーのため", "退信", "无法投递", "無法傳遞", "无法送达", "投递失败", "전송 실패", "배달되지", "破棄しました",
	"届いておりません", "配送せず", "no ha llegado", "no se puede localizar", "notificacion de estado de entrega",
	"notification d'etat de remise", "notification d'etat de la remise", "zustellungsstatus", "ubermittlungsstatus",
	"notifica sullo stato del recapito", "notifica dello stato del recapito", "notificacao de status de entrega",
	"notificacao do estado da entrega", "bezorgingsstatus", "stanie dostarczenia", "leveransstatus", "leveringsstatus",
	"stavu doruceni", "配信状態通知", "failure reasons", "delivery of the email was stopped",
	"delivery of the message was stopped", "virus in your", "virus alert", "ndn:", "recipient unknown",
	"unknown recipient", "empfanger unbekannt", "empfaenger unbekannt", "unbekannter empfanger",
	"destinataire inconnu", "destinatario desconocido", "destinatario sconosciuto", "destinatario inexistente",
	"onbekende ontvanger", "nieznany odbiorca", "okand mottagare", "ukendt modtager", "ukjent mottaker",
	"banned contents", "banned filename", "banned name", "content checker found",
)

// deliveries are words for bringing mail somewhere, and misses for what did
// not happen, folded. Near each other they make a sentence that nobody listed.
var (
	deliveries = newLexicon(
		"deliver", "delivery", "delivered", "delivering", "reach", "zugestellt", "zustell", "ausgeliefert",
		"ausliefer", "ubermittelt", "remis", "distribu", "livre", "livraison", "delivre", "achemin", "entreg",
		"enviad", "consegn", "recapit", "inviat", "bezorg", "afgelever", "aflever", "verzonden", "leverer", "levere",
		"leverans", "framfor", "toimit", "perille", "lahet", "dostarcz", "doreczen", "wyslan", "doruc", "odesl",
		"kezbesit", "livrat", "trimis", "teslim", "iletil", "gonderil", "ulastir", "доставл", "достав", "отправл",
		"παραδο", "παραδοθ", "σταλ", "配信", "配送", "送信", "届", "送達", "配達", "投递", "递送", "发送", "送达", "传送", "전송", "배달", "발송",
		"전달", "llegad", "erreicht", "erreichen", "atteint", "raggiunt", "chegou", "bereikt", "saapunut", "dotarla",
		"dorazila", "megerkez", "ajuns", "ulasama",
	)
	misses = newLexicon(
		"not", "cannot", "can't", "couldn't", "wasn't", "unable", "fail", "failed", "failure", "impossible", "error",
		"nicht", "unmoglich", "fehlgeschlagen", "fehler", "gescheitert", "ne peut", "n'a pas", "n'ont pas", "n'a pu",
		"pas pu", "echec", "echoue", "erreur", "no se", "no ha", "no pudo", "no fue", "fallo", "fallid", "imposible",
		"non e", "non ha", "mancat", "impossibil", "errore", "nao", "falha", "falhou", "erro", "niet", "mislukt",
		"inte", "misslyck", "ikke", "mislykk", "fejl", "feil", "ei voi", "ei ole", "epaonnist", "nie", "niepowod",
		"blad", "nelze", "nebyl", "nepodar", "selhal", "nem", "sikertelen", "nu a", "nu poate", "esuat", "eroare",
		"edilemedi", "edilemiyor", "ilemedi", "basarisiz", "hata", "не", "ошибк", "невозможн", "δεν", "αποτυχ",
		"αδυνατ", "できません", "できなかった", "失敗", "エラー", "不能", "ません", "破棄", "失败", "无法", "無法", "未能", "실패", "못했", "되지 않",
		"없습니다",
	)
)

// mails are words for what is delivered, where it is not a parcel.
var mails = newLexicon(
	"mail", "email", "e-mail", "message", "nachricht", "courriel", "courrier", "mensaje", "correo", "messaggio",
	"mensagem", "bericht", "meddelande", "besked", "melding", "viesti", "wiadomosc", "zprava", "uzenet", "level",
	"mesaj", "e-posta", "ileti", "сообщени", "письм", "μηνυμα", "メール", "メッセージ", "邮件", "郵件", "메일",
)

// refused are words for what somebody did to mail that he did not want, folded.
var refused = newLexicon(
	"rejected", "refused", "blocked", "returned", "declined", "abgewiesen", "abgelehnt", "zuruckgewiesen",
	"zuruckweisung", "blockiert", "refuse", "rejete", "bloque", "rechazad", "bloquead", "devuelt", "rifiutat",
	"respint", "bloccat", "rejeitad", "recusad", "devolvid", "geweigerd", "geblokkeerd", "teruggestuurd", "odrzucon",
	"zablokowan", "zwrocon", "odmitnut", "vracen", "avvisat", "nekat", "returnerat", "afvist", "avvist", "blokkert",
	"hylatty", "palautettu", "visszautasit", "elutasit", "respins", "reddedil", "iade edil", "отклонен", "отвергнут",
	"заблокирован", "возвращен", "απορριφ", "拒否", "拒絶", "ブロック", "拒绝", "拒收", "退回", "거부", "차단", "반송",
)

// parcels are what else could not be delivered, folded.
var parcels = newLexicon(
	"parcel", "package", "shipment", "courier", "paket", "sendung", "colis", "paquete", "pacco", "spedizione",
	"encomenda", "pakket", "pakje", "paczk", "przesylk", "balik", "zasilk", "csomag", "paketti", "pakke", "colet",
	"kargo", "посылк", "отправлени", "δεμα", "荷物", "小包", "包裹", "快递", "택배",
)

// delays are what notices of a delay say, folded.
var delays = newLexicon(
	"has not yet been delivered", "not yet been delivered", "warning: message", "delayed", "delivery is delayed",
	"delivery delay", "will be retried", "still being retried", "warning message only", "warning only",
	"this is a warning", "has been postponed", "will continue to try", "delay reason:", "will be attempted",
	"attempts will be made", "we will retry", "will retry", "not been able to deliver * yet", "still trying",
	"keep trying", "transient non-fatal", "temporarily unable", "warning: could not send", "could not be sent yet",
	"delivery delayed", "noch nicht zugestellt", "noch nicht ausgeliefert", "wird weiter versucht",
	"weitere zustellversuche", "pas encore", "nouvelles tentatives", "aun no se ha", "todavia no", "non e ancora",
	"non ancora", "ainda nao", "nog niet", "annu inte", "endnu ikke", "enna ikke", "jeszcze nie", "dosud nebyl",
	"meg nem", "nu a fost inca", "henuz", "пока не доставлено", "еще не доставлено", "до сих пор не",
	"будет повторена", "попытки доставки будут", "продолжит попытки", "задержка", "задержк", "まだ配信", "再送を試み", "再送いたし",
	"再送します", "遅れて", "延迟", "延遲", "지연", "will keep trying", "attempts will continue", "delivery attempts will continue",
	"temporary failure report", "delivery incomplete", "advisory-only", "could not send message for",
	"do not need to resend", "not need to resend", "queued for", "has been enqueued and undeliverable",
	"still undelivered", "delivery temporarily suspended", "we will keep trying", "is still in the queue", "verzogert",
	"verzogerung", "retarde", "retrasado", "demora en la entrega", "ritardo nella consegna", "atrasada", "vertraagd",
	"opoznion", "задержан", "遅延", "still in the * queue", "remains in the * queue", "retry queue", "only a warning",
	"not yet been fully delivered", "attempts * will continue", "attempts are still pending", "further attempts",
	"another attempt will be made", "will be tried again", "keep on trying", "waiting mail", "delivery postponed",
	"weitere versuche", "wird erneut versucht", "nur eine warnung", "um eine warnung", "de nouvelles tentatives",
	"sera retente", "simple avertissement", "qu'un avertissement", "tentatives * continuer", "nuevos intentos",
	"se seguira intentando", "seguiremos intentando", "una advertencia", "solo es un aviso", "se reintentara",
	"ulteriori tentativi", "nuovi tentativi", "solo un avviso", "novas tentativas", "apenas um aviso",
	"continuara tentando", "continuaremos tentando", "nieuwe pogingen", "opnieuw geprobeerd", "een waarschuwing",
	"blijven proberen", "ponowne proby", "kolejne proby", "tylko ostrzezenie", "dalsi pokus", "pouze varovani",
	"nya forsok", "ytterligare forsok", "bara en varning", "nye forsøg", "nye forsok", "kun en advarsel", "uudelleen",
	"vain varoitus", "ujra megprobal", "tovabbi kiserlet", "csak figyelmezt", "повторные попытки", "попытки * продолж",
	"только предупреждение", "yeniden denenecek", "tekrar denenecek", "yalnizca bir uyari", "sadece bir uyari", "再配送",
	"继续尝试", "继续重试", "将会重试", "다시 시도", "재시도", "nie * jeszcze", "jeste ne", "inte * annu", "ikke * endnu", "ikke * enna",
	"viela ei", "inca nu", "nu * inca", "δεν * ακομη", "尚未", "还未", "아직", "opoznieni", "ponawiac proby",
	"ponawiac dorecz", "kontynuowac proby", "pokracovat v pokus", "fortsatter att forsoka", "fortsatter forsok",
	"jatkaa yrity", "jatketaan", "folytatja", "va continua", "denemeye devam", "continuar intentando",
	"continuera a provare", "continuera a tentare", "continuara a tentar", "continuera ses tentatives",
)

// promises are what only a notice of a delay says, however final the rest
// sounds, folded.
var promises = newLexicon(
	"will be retried until", "will be retried for", "will keep trying", "will continue to try", "will continue trying",
	"delivery attempts will continue", "this is a warning message only", "warning message only", "not need to resend",
	"need not resend", "not have to resend", "will be attempted again", "will be retried again",
	"wird weiter versucht", "продолжит попытки", "se seguira intentando", "continuera d'essayer",
)

// finals take a notice of delay back: it was the last.
var finals = newLexicon(
	"giving up", "given up", "permanent error", "permanent fatal", "failed permanently", "could not be delivered for",
	"retry timeout exceeded", "not going to try again", "no further delivery attempts", "undelivered mail returned",
	"will not be retried", "aufgegeben", "keine weiteren", "abgebrochen", "abandonne", "plus aucune tentative",
	"aucune nouvelle tentative", "no se intentara mas", "no se realizaran", "nessun ulteriore",
	"non verranno effettuati", "desistindo", "desistiu", "geen verdere pogingen", "geen nieuwe pogingen", "opgegeven",
	"nie bedzie ponawian", "zaniechano", "gett upp", "har givit upp", "opgivet", "luovu", "feladta", "прекращены",
	"больше не будет", "vazgecil", "断念", "放弃", "포기", "nao havera", "no habra mas", "no habra nuevos",
	"non saranno effettuati", "nessun nuovo tentativo", "nie bedzie kolejnych", "aucun nouvel essai",
	"not be tried again", "no more attempts", "no further attempts", "will not try again", "stopped trying",
)

// asides end lines above an address that is no recipient, folded.
var asides = []string{
	"ask", "contact", "please contact", "write to", "sender", "the sender", "original sender", "from", "originator",
	"administrator", "administrators", "postmaster", "helpdesk", "new address", "new e-mail address",
	"new email address", "return path", "reply to", "for help", "for assistance", "absender", "expediteur",
	"remitente", "mittente", "remetente", "afzender", "отправитель",
}

// received are what heads the addresses that a message arrived at, folded.
var received = newLexicon(
	"succeeded", "successful", "successfully", "were delivered", "was delivered", "been delivered to", "erfolgreich",
	"wurde zugestellt", "ont ete remis", "a ete remis", "har fatt meldingen", "har fatt", "har mottatt",
	"har mottagit", "har modtaget", "recibieron", "han recibido", "ont recu", "ricevuto", "receberam",
	"hebben ontvangen", "otrzymali", "erhalten", "vastaanottivat", "got the message", "received the message",
)

// denials take it back.
var denials = newLexicon("not|", "cannot", "nicht|", "pas|", "no|", "non|", "nao|", "niet|", "inte|", "ikke|", "nie|", "ei|", "nem|", "nu|", "не|", "δεν|")

// markers begin what came back, in a line that is a heading. Folded.
var markers = newLexicon(
	"original message", "copy of the message", "copy of your message", "copy of the original", "below this line is",
	"below is a copy", "message header follows", "message headers follow", "returned message", "returned mail",
	"unsent message", "message text follows", "undelivered message", "text of your message", "header of the message",
	"header of the original", "original mail", "message reads", "enclosed is a copy", "undelivered mail follows",
	"lines of your", "included is a copy", "summary of the undelivered", "mensaje original", "message d'origine",
	"message original", "ursprungliche nachricht", "originalnachricht", "kopie der nachricht", "kopie ihrer nachricht",
	"messaggio originale", "mensagem original", "oorspronkelijk bericht", "oryginalna wiadomosc", "исходное сообщение",
	"копия", "元のメール", "以下のメール本文", "opprinnelig melding", "oprindelig meddelelse", "oprindelig besked",
	"ursprungligt meddelande", "alkuperainen viesti", "puvodni zprava", "eredeti uzenet", "mesajul original",
	"antetul mesajului", "orijinal ileti", "orijinal mesaj", "αρχικο μηνυμα", "원본 메", "원본메", "原始邮件", "原邮件", "原始郵件",
	"kopie van de kopregels", "kopie van het bericht", "kopia wiadomosci", "kopie zpravy", "kopi af", "kopi av",
	"kopia av", "copie du message", "copia del mensaje", "copia del messaggio", "copia da mensagem",
	"en-tetes du message", "kopfzeilen", "intestazioni", "encabezados", "cabecalhos", "kopregels", "naglowki",
	"元のメッセージ", "以下は送信", "begin headers", "headers from your",
)

// formats are signs of systems whose reports are for people, folded. They name
// the format; the recognisers do not depend on them.
var formats = []struct{ name, in string }{
	{"qmail", "this is the qmail-send program"}, {"qmail", "giving up on"}, {"exim", "message was created automatically by mail delivery software"},
	{"postfix", "postfix program"},
	{"dragonfly", "dragonfly mail agent"}, {"opensmtpd", "this is the mailer-daemon, please do not reply"},
	{"sendmail", "transcript of session follows"}, {"google", "technical details of permanent failure"},
	{"google", "google groups"}, {"yahoo", "we were unable to deliver your message to the following address"},
	{"exchange", "did not reach the following recipient"}, {"mfilter", "m-filter"}, {"domino",
		"domino"},
	{"groupwise", "the message that you sent was undeliverable to the following"}, {"interscan", "interscan"},
}

// successes are what reports of a delivery say, folded.
var successes = newLexicon(
	"was delivered to the following", "were delivered to the following", "has been delivered to the following",
	"successfully delivered", "delivered successfully", "successfully relayed", "delivery was successful",
	"has been successfully", "was successfully", "erfolgreich zugestellt", "wurde zugestellt", "a ete remis",
	"a bien ete remis", "ha sido entregado", "se ha entregado", "e stato consegnato", "avvenuta consegna",
	"e stato accettato dal sistema", "foi entregue", "is afgeleverd", "is bezorgd", "har levererats", "er leveret",
	"er levert", "on toimitettu", "zostala dostarczona", "byla dorucena", "kezbesitve", "a fost livrat",
	"teslim edildi", "успешно доставлено", "配信されました", "配信完了",
)

// expiries say of a report that its writer has given up.
var expiries = newLexicon(
	"expired", "retry timeout exceeded", "retry time not reached", "too long in the queue", "in the queue too long",
	"in queue too long", "queue too long", "giving up", "given up", "gave up", "could not be delivered for",
	"for the last", "failed after", "been failing for", "no longer be retried", "maximum retr", "retries exceeded",
	"attempts have failed", "delivery attempts", "cannot send message for", "could not send message for", "timed out",
	"lifetime", "over the last", "after trying for", "delai * depasse", "zeitraum", "aufgegeben", "abgelaufen",
	"expire", "scadut", "caducad", "verlopen", "истек",
)

// clients are in the names that programs for people give themselves, folded.
var clients = newLexicon(
	"phpmailer", "outlook express", "microsoft office outlook", "microsoft outlook 1", "thunderbird", "apple mail",
	"iphone mail", "ipad mail", "foxmail", "the bat!", "pegasus mail", "evolution", "kmail", "claws mail", "sylpheed",
	"mutt", "alpine", "roundcube", "squirrelmail", "horde", "swiftmailer", "symfony mailer", "wordpress", "drupal",
	"joomla", "typo3", "zammad", "otrs", "osticket", "request tracker", "redmine", "jira", "zendesk", "freshdesk",
	"helpscout", "civicrm", "mailchimp", "mautic", "listmonk", "phplist", "sendy", "becky!", "shuriken", "eudora",
	"incredimail", "airmail", "spark", "mailspring", "em client",
)

// refusals are what list software and delivery agents say to those whose mail
// they do not take, folded.
var refusals = newLexicon(
	"not allowed to post", "not permitted to post", "not authorized to send mail to", "not authorized to post",
	"has been automatically rejected", "was automatically rejected", "been rejected by", "was rejected by",
	"rejected posting", "request to mailing list * rejected", "rejected by the list", "posting * rejected",
	"was not posted to the list", "mailing list was denied", "has been denied", "was denied for",
	"not a member of this", "not a member of the", "are not member", "non-member", "nonmember", "only members",
	"only subscribers", "restricted to subscribers", "was refused by", "message was refused", "has been refused",
	"rejet de votre message", "a ete rejete", "n'etes pas autorise", "ihre nachricht * abgelehnt", "wurde abgelehnt",
	"nicht berechtigt", "ha sido rechazado", "no esta autorizado", "e stato rifiutato", "non e autorizzato",
	"foi rejeitada", "geweigerd", "メンバーではありません", "投稿できません",
)

// headerMarkers announce a header rather than a message.
var headerMarkers = newLexicon("message header follows", "message headers follow", "headers follow", "header of the message", "header of the original")

// causes are words before a colon and the cause of a failure, folded.
var causes = []string{
	"reason", "reasons", "the reason", "reason for failure", "failure reason", "reason for the failure", "cause",
	"error", "the error was", "error message", "diagnostic", "explanation", "details", "problem", "grund", "fehler",
	"fehlermeldung", "ursache", "begrundung", "raison", "motif", "erreur", "motivo", "causa", "razon", "dettaglio",
	"errore", "oorzaak", "reden", "foutmelding", "orsak", "anledning", "arsag", "arsak", "syy", "powod", "przyczyna",
	"duvod", "pricina", "ok", "hiba oka", "motiv", "motivul", "cauza", "neden", "sebep", "hata", "причина", "ошибка",
	"αιτια", "λογος", "理由", "原因", "エラー内容", "エラー", "错误", "原因分析", "이유", "사유", "실패 이유", "실패 사유",
}

// whom is in lines above the names of recipients, folded.
var whom = newLexicon("recipient", "recipients", "following", "user", "users", "empfanger", "destinataire", "destinatari", "utilisateur", "usuari", "ontvanger", "benutzer", "utenti")

// headerNames are labels of lines that repeat the header of the message, folded.
var headerNames = []string{
	"from", "subject", "date", "sent", "message-id", "reply-to", "return-path", "received", "sender", "mail from",
	"message id", "in-reply-to", "references", "x-mailer", "cc", "von", "absender", "betreff", "datum", "gesendet",
	"antwort an", "de", "expediteur", "objet", "envoye", "envoye le", "repondre a", "remitente", "asunto", "fecha",
	"enviado", "responder a", "da", "mittente", "oggetto", "data", "inviato", "rispondi a", "remetente", "assunto",
	"van", "afzender", "onderwerp", "verzonden", "fran", "avsandare", "amne", "skickat", "fra", "afsender", "avsender",
	"emne", "sendt", "lahettaja", "aihe", "od", "nadawca", "temat", "odesilatel", "predmet", "felado", "targy",
	"de la", "expeditor", "subiect", "kimden", "gonderen", "konu", "от", "отправитель", "тема", "дата", "από", "θεμα",
	"差出人", "送信者", "件名", "日時", "发件人", "主题", "寄件者", "보낸 사람", "제목",
}

// toLabels are labels of lines that say whom the message was for, folded.
var toLabels = []string{
	"to", "an", "a", "para", "aan", "til", "till", "do", "komu", "adresat", "cimzett", "catre", "kime", "alici",
	"кому", "получатель", "προς", "宛先", "收件人", "받는 사람", "vastaanottaja", "destinataire", "destinatario", "empfanger",
	"ontvanger", "mottagare", "modtager", "mottaker", "odbiorca", "prijemce",
}

// recipientLabels are labels of lines that name a recipient, folded.
var recipientLabels = []string{
	"recipient", "recipients", "failed recipient", "final recipient", "original recipient", "failed address",
	"intended recipient", "bad address", "invalid address", "fehlgeschlagener empfanger",
}

// helpers are local parts of where one may ask, which people have as well.
var helpers = []string{
	"support", "helpdesk", "help", "hilfe", "servicedesk", "service-desk", "service", "kundenservice", "kundendienst",
	"kundeservice", "kundtjanst", "klantenservice", "serviceclient", "service-client", "assistance", "assistenza",
	"soporte", "ayuda", "suporte", "ajuda", "noc", "hostmaster", "security", "it", "it-service", "it-support",
	"itsupport", "edv", "dsi", "cau", "mail_admin", "mailadmin", "mail-admin", "sysadmin", "admin",
}

// movedTo are in lines above the address that somebody has now, folded.
var movedTo = newLexicon(
	"new address", "new e-mail", "new email", "moved to", "changed to", "neue adresse", "neue e-mail", "neue mail",
	"nouvelle adresse", "nueva direccion", "nuovo indirizzo", "novo endereco", "nieuw adres", "nieuwe adres",
	"nieuw e-mail", "ny adress", "ny e-post", "ny adresse", "bytt e-post", "bytt adress", "skiftet", "ny e-mail",
	"uusi osoite", "uusi sahkoposti", "nowy adres", "nova adresa", "uj cim", "noua adresa", "yeni adres",
	"yeni e-posta", "новый адрес", "新しいアドレス", "新しいメール", "新地址",
)

// goodbyes begin lines above the name and the address of who writes, folded.
var goodbyes = newLexicon(
	"regards", "kind regards", "best regards", "sincerely", "yours", "many thanks", "thank you,", "the postmaster",
	"mit freundlichen", "freundliche gru", "viele gru", "mfg", "cordialement", "bien cordialement", "salutations",
	"sinceres", "un saludo", "saludos", "atentamente", "cordiali saluti", "distinti saluti", "saluti",
	"atenciosamente", "cumprimentos", "met vriendelijke", "vriendelijke groet", "groeten", "med vanlig",
	"vanliga halsningar", "med venlig", "venlig hilsen", "med vennlig", "vennlig hilsen", "hilsen", "ystavallisin",
	"terveisin", "z powazaniem", "pozdrawiam", "s pozdravem", "udvozlettel", "tisztelettel", "cu stima", "cu respect",
	"saygilarimizla", "iyi gunler", "с уважением", "με εκτιμηση", "敬具", "以上", "此致",
)

// phrases stand before a recipient, folded, at the end of what precedes it.
var phrases = []string{"recipient", "recipients", "recipient address", "recipient(s)", "addressed to", "deliver to", "delivered to", "deliver mail to", "deliver message to", "deliver your message to", "delivering your mail to", "message to", "mail to", "email to", "delivery to", "delivery failed", "undeliverable to", "user", "userid", "attempts", "mailbox", "account", "delivering your message to", "be delivered to", "email address", "email address :", "failed to deliver to", "size", "is full", "permanent errors", "size limit for", "full", "sent to", "find user", "quota violation for", "contact", "rcpt to", "final recipient", "the address", "generated by", "unknown", "address", "addresses", "following"}

// diagnostics head what a mail system has to say to other postmasters, folded.
var diagnostics = newLexicon(
	"diagnostic information", "diagnoseinformation", "informations de diagnostic", "informacion de diagnostico",
	"informazioni di diagnostica", "informacoes de diagnostico", "diagnostische informatie", "diagnostikinformation",
	"diagnostisk", "informacje diagnostyczne", "diagnosticke informace", "диагностические сведения", "診断情報",
	"more info for email admins", "original message details",
)

// advice is in what stands before an address that one may ask, or that is no
// recipient for another reason, folded.
var advice = newLexicon(
	"please", "contact", "assistance", "questions", "queries", "enquiries", "inquiries", "mailto:", "envelope-from",
	"message-id", "message id", "bitte", "fragen", "anfragen", "ruckfragen", "wenden sie", "hilfe", "veuillez",
	"contacter", "renseignement", "aide", "dudas", "consultas", "contacte", "ayuda", "contattare", "domande",
	"assistenza", "duvidas", "contato", "ajuda", "vragen", "neem contact", "prosze", "pytania", "pomoc", "dotazy",
	"fragor", "kontakta", "sporgsmal", "spørgsmål", "sporsmal", "spørsmål", "kysymyk", "kerdes", "intrebari",
	"sorular", "вопрос", "обращай", "ερωτησ", "υποστηριξη", "問い合わせ", "咨询", "联系", "문의",
)
